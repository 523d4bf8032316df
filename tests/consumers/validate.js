// node validate.js SCHEMA FILE...: what of the JSON is not as the schema says.
// NODE_PATH has ajv.
"use strict";
const fs = require("fs");
const Ajv = require("ajv");

const read = (path) => JSON.parse(fs.readFileSync(path, "utf8"));
const [schema, ...files] = process.argv.slice(2);
const validate = new Ajv({ strict: false, allErrors: true }).compile(read(schema));
let wrong = 0;
for (const file of files) {
    if (!validate(read(file))) {
        wrong++;
        for (const error of validate.errors.slice(0, 10)) {
            console.error(`${file}: ${error.instancePath} ${error.message}`);
        }
    }
}
process.exitCode = wrong ? 1 : 0;
