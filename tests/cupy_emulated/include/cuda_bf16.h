// CUDA's bfloat16: the upper half of a float, rounded to the nearest and ties to even.
#pragma once
#include "cuda.h"

struct __nv_bfloat16 {
  unsigned short x = 0;
  __nv_bfloat16() = default;
  __nv_bfloat16(float v) {
    unsigned u = bits_as<unsigned>(v);
    x = v != v ? 0x7fff : (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  }
  operator float() const { return bits_as<float>(unsigned(x) << 16); }
};

inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 v) { return v.x; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short u) {
  __nv_bfloat16 v;
  v.x = u;
  return v;
}
inline bool __hisnan(__nv_bfloat16 v) { return (v.x & 0x7fff) > 0x7f80; }
inline int __hisinf(__nv_bfloat16 v) { return (v.x & 0x7fff) != 0x7f80 ? 0 : v.x >> 15 ? -1 : 1; }
