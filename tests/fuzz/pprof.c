/* Input that begins as a profile of pprof's does: with the type of its samples. */
#include "tests/fuzz/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_document("\x0a\x04\x08\x01\x10\x02", data, size);
    return 0;
}
