/* SPDX-License-Identifier: MIT */
#include "ctl/ctl.h"

int main(int argc, char **argv)
{
    return ctl_main(ctl_commands, argc, argv);
}
