/*
 * For `make lint-page`, which gives eslint the files of this folder as they stand in the
 * picture: one behind another in one function; and the badge's.
 */
import {createRequire} from 'node:module';

const js = createRequire(process.argv[1])('@eslint/js'); // the one beside this eslint

const BROWSER = ['Blob', 'CSSStyleSheet', 'Intl', 'PerformanceObserver', 'ResizeObserver',
  'URL', 'URLSearchParams', 'XMLSerializer', 'clearTimeout', 'devicePixelRatio', 'document',
  'getComputedStyle', 'history', 'location', 'setTimeout', 'window'];
const MARKUP = ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write', 'eval'];

export default [
  js.configs.recommended,
  {
    files: ['**/*.js'],
    linterOptions: {reportUnusedDisableDirectives: 'error'},
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'script',
      globals: Object.fromEntries(BROWSER.map((name) => [name, 'readonly'])),
    },
    rules: {
      // Nothing is ever made of the data's text.
      'no-restricted-properties': ['error', ...MARKUP.map((property) => ({property}))],
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-new-func': 'error',
      'no-script-url': 'error',
      // Mistakes that run.
      'array-callback-return': 'error',
      'consistent-return': 'error',
      'default-case-last': 'error',
      eqeqeq: 'error',
      'no-implicit-coercion': 'error',
      'no-loop-func': 'error',
      'no-param-reassign': 'error',
      'no-self-compare': 'error',
      'no-shadow': 'error',
      'no-unused-vars': ['error', {argsIgnorePattern: '^_', caughtErrors: 'none'}],
      'no-use-before-define': ['error', {functions: false, classes: true, variables: false}],
      strict: ['error', 'function'],
      // How it is written.
      'max-len': ['error', {code: 100}],
      'no-else-return': 'error',
      'no-useless-return': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      'prefer-template': 'off',
    },
  },
];
