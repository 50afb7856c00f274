// All that a kernel of CuPy's includes, so that it is read by the compiler once.
#pragma once
#include "cuda.h"
#include "fibres.h"
#include "launch.h"
#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>
