// CUDA's half type, by the compiler's own.
#pragma once
#include "cuda.h"

struct __half_raw { unsigned short x; };

struct half {
  unsigned short d = 0;
  half() = default;
  half(float v) : d(__float2half_rn(v)) {}
  explicit half(bool v) : half(float(v)) {}
  explicit half(double v) : half(float(v)) {}
  explicit half(int v) : half(float(v)) {}
  explicit half(unsigned v) : half(float(v)) {}
  explicit half(long long v) : half(float(v)) {}
  explicit half(unsigned long long v) : half(float(v)) {}
  explicit half(const __half_raw& v) : d(v.x) {}
  operator float() const { return __half2float(d); }
  operator __half_raw() const { return {d}; }
};

inline unsigned short __half_as_ushort(half h) { return h.d; }
inline half __ushort_as_half(unsigned short u) { return half(__half_raw{u}); }
