/* SPDX-License-Identifier: MIT */
#include "cmg/base/env.h"

#include <stdlib.h>

const char *cmg_env(const char *name)
{
    return getenv(name);
}
