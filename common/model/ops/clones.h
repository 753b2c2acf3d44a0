#ifndef RECKON_COMMON_MODEL_OPS_CLONES_H_
#define RECKON_COMMON_MODEL_OPS_CLONES_H_

// The compiler makes versions of a function for AVX512, for AVX2 with FMA and for any x86-64, and
// the loader picks by what the CPU can do. By level, not by name: "arch=haswell" would be chosen on
// a Haswell alone, and every other CPU would run the plain version. A lambda inside such a function
// is not part of it, so loops stand in the function itself.
#define RECKON_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))

#endif  // RECKON_COMMON_MODEL_OPS_CLONES_H_
