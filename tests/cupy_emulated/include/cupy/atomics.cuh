// One thread runs at a time, so CuPy's atomic operations for old devices are not needed.
#pragma once
#include <cupy/carray.cuh>
