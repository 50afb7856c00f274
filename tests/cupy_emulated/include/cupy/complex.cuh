// CuPy brings thrust's complex numbers for the device; on the host the standard's serve.
#pragma once
#include <complex>
namespace thrust {
template <class T> using complex = std::complex<T>;
using std::abs;
using std::conj;
}  // namespace thrust
using std::conj;
using thrust::complex;
