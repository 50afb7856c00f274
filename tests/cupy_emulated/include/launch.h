// From the pointers of a launch to the arguments of a kernel, and the bytes of the arrays among them.
#pragma once
#include <utility>
#include "cuda.h"

namespace emulated {

template <class T> using argument = std::remove_reference_t<T>;

template <class... A, size_t... I>
inline void call(void (*kernel)(A...), void** p, std::index_sequence<I...>) {
  kernel(*reinterpret_cast<argument<A>*>(p[I])...);
}
template <class... A> inline void call(void (*kernel)(A...), void** p) {
  call(kernel, p, std::index_sequence_for<A...>());
}

// A CArray: its distinct cells, so not those of an axis that is only repeated, nor more than lie between its first cell
// and its last, where windows overlap.
template <class T>
auto size_of(T& a, int) -> decltype((void)a.strides(), (void)a[ptrdiff_t(0)], (unsigned long long)0) {
  unsigned long long n = sizeof(a[ptrdiff_t(0)]), span = n;
  for (int d = 0; d < T::ndim; d++) {
    const long long shape = a.shape()[d], step = a.strides()[d];
    if (step || shape <= 1) n *= shape;
    span += (shape - 1) * (step < 0 ? -step : step);
  }
  return n < span ? n : span;
}
// Anything else is a number.
template <class T> unsigned long long size_of(T&, long) { return 0; }

template <class... A, size_t... I>
inline unsigned long long bytes(void (*)(A...), void** p, std::index_sequence<I...>) {
  return (0ull + ... + size_of(*reinterpret_cast<argument<A>*>(p[I]), 0));
}
template <class... A> inline unsigned long long bytes(void (*kernel)(A...), void** p) {
  return bytes(kernel, p, std::index_sequence_for<A...>());
}

}  // namespace emulated
