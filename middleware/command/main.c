/* The program `flameprof`. */
#include "middleware/command/program.h"

int main(int argc, char **argv)
{
    return flame_program(argc, argv);
}
