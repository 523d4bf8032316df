/* Input that begins as JSON of ours does. */
#include "tests/fuzz/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_document("{\"", data, size);
    return 0;
}
