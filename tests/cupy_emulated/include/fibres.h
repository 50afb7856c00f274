// The threads of a block. Where none waits for another they run one after the other; where a kernel
// synchronises each is a fibre, which runs as far as a barrier, of its warp or of the block.
#pragma once
#include <ucontext.h>
#include <vector>
#include "cuda.h"

namespace emulated {

constexpr size_t STACK = 65536, WARP = 32, LARGEST_BLOCK = 1024;
using Body = void (*)(void**);
enum class State { ready, at_warp, at_block, done };

struct Fibre {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(STACK);
  State state;
};

static ucontext_t scheduler;
static std::vector<Fibre> fibres;
static size_t running;
static bool concurrent = false;
static Body body;
static void** arguments;

inline void enter(size_t thread) {
  running = thread;
  threadIdx.x = thread % blockDim.x;
  threadIdx.y = thread / blockDim.x % blockDim.y;
  threadIdx.z = thread / blockDim.x / blockDim.y;
}

inline void wait(State barrier) {
  if (!concurrent) return;
  Fibre& fibre = fibres[running];
  fibre.state = barrier;
  swapcontext(&fibre.context, &scheduler);
}

static void start() {
  body(arguments);
  fibres[running].state = State::done;
}

// Whether some of these fibres wait at the barrier and none is still on its way to one.
static bool all_at(State barrier, size_t from, size_t to) {
  bool some = false;
  for (size_t t = from; t < to; t++) {
    if (fibres[t].state == State::ready) return false;
    some |= fibres[t].state == barrier;
  }
  return some;
}

static bool released(State barrier, size_t from, size_t to) {
  if (!all_at(barrier, from, to)) return false;
  for (size_t t = from; t < to; t++)
    if (fibres[t].state == barrier) fibres[t].state = State::ready;
  return true;
}

static void block_of_fibres(size_t threads) {
  // a context points into itself, so fibres may move only before they start
  if (fibres.size() < threads) fibres.resize(threads);
  for (size_t t = 0; t < threads; t++) {
    Fibre& fibre = fibres[t];
    fibre.state = State::ready;
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.data();
    fibre.context.uc_stack.ss_size = STACK;
    fibre.context.uc_link = &scheduler;
    makecontext(&fibre.context, start, 0);
  }
  concurrent = true;
  for (bool left = true; left;) {
    for (size_t t = 0; t < threads; t++) {
      if (fibres[t].state != State::ready) continue;
      enter(t);
      swapcontext(&scheduler, &fibres[t].context);
    }
    left = false;
    for (size_t first = 0; first < threads; first += WARP)
      left |= released(State::at_warp, first, first + WARP < threads ? first + WARP : threads);
    // the block goes on only when no warp can
    left = left || released(State::at_block, 0, threads);
  }
  concurrent = false;
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
        if (synchronises) { block_of_fibres(threads); continue; }
        for (size_t t = 0; t < threads; t++) { enter(t); body(arguments); }
      }
}

// What a lane of the warp offers, read by another one: all write, then all read.
template <class T> inline T exchanged(T value, size_t lane) {
  static T offered[LARGEST_BLOCK];
  offered[running] = value;
  wait(State::at_warp);
  T got = offered[running / WARP * WARP + lane];
  wait(State::at_warp);
  return got;
}

}  // namespace emulated

inline void __syncthreads() { emulated::wait(emulated::State::at_block); }
inline void __syncwarp(unsigned = 0xffffffff) { emulated::wait(emulated::State::at_warp); }

template <class T> inline T __shfl_sync(unsigned, T value, int lane, int width = 32) {
  int own = emulated::running % emulated::WARP;
  return emulated::exchanged(value, own / width * width + lane % width);
}
template <class T> inline T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
  int own = emulated::running % emulated::WARP, lane = own ^ mask;
  return emulated::exchanged(value, lane / width > own / width ? own : lane);
}
template <class T> inline T __shfl_up_sync(unsigned, T value, unsigned delta, int width = 32) {
  int own = emulated::running % emulated::WARP, lane = own - int(delta);
  return emulated::exchanged(value, lane < own / width * width ? own : lane);
}
template <class T> inline T __shfl_down_sync(unsigned, T value, unsigned delta, int width = 32) {
  int own = emulated::running % emulated::WARP, lane = own + int(delta);
  return emulated::exchanged(value, lane / width > own / width ? own : lane);
}
