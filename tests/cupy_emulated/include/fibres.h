// The threads of a block. Where none waits for another they run one after the other; where a kernel
// synchronises each is a fibre, which runs as far as the barrier and then lets the next run.
#pragma once
#include <ucontext.h>
#include <vector>
#include "cuda.h"

namespace emulated {

constexpr size_t STACK = 65536;
using Body = void (*)(void**);

struct Fibre {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(STACK);
  bool done;
};

static ucontext_t scheduler;
static std::vector<Fibre> fibres;
static Fibre* running = nullptr;
static Body body;
static void** arguments;

inline void enter(size_t thread) {
  threadIdx.x = thread % blockDim.x;
  threadIdx.y = thread / blockDim.x % blockDim.y;
  threadIdx.z = thread / blockDim.x / blockDim.y;
}

inline void barrier() {
  if (running) swapcontext(&running->context, &scheduler);
}

static void start() {
  body(arguments);
  running->done = true;
}

static void block_of_fibres(size_t threads) {
  // a fibre's context points into itself, so they may move only before they start
  if (fibres.size() < threads) fibres.resize(threads);
  for (size_t t = 0; t < threads; t++) {
    Fibre& fibre = fibres[t];
    fibre.done = false;
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.data();
    fibre.context.uc_stack.ss_size = STACK;
    fibre.context.uc_link = &scheduler;
    makecontext(&fibre.context, start, 0);
  }
  for (bool left = true; left;) {
    left = false;
    for (size_t t = 0; t < threads; t++) {
      if (fibres[t].done) continue;
      enter(t);
      running = &fibres[t];
      swapcontext(&scheduler, &running->context);
      left |= !running->done;
    }
  }
  running = nullptr;
}

// dims: the grid, then the block
static void grid(const unsigned* dims, Body kernel, void** given, bool synchronises) {
  gridDim = {dims[0], dims[1], dims[2]};
  blockDim = {dims[3], dims[4], dims[5]};
  body = kernel;
  arguments = given;
  size_t threads = size_t(dims[3]) * dims[4] * dims[5];
  for (blockIdx.z = 0; blockIdx.z < dims[2]; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < dims[1]; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < dims[0]; blockIdx.x++) {
        if (synchronises && threads > 1) { block_of_fibres(threads); continue; }
        for (size_t t = 0; t < threads; t++) { enter(t); body(arguments); }
      }
}

}  // namespace emulated

inline void __syncthreads() { emulated::barrier(); }
inline void __syncwarp(unsigned = 0xffffffff) { emulated::barrier(); }
