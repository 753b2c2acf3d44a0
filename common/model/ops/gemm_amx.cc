// Compiled with AMX; called only where CPU and kernel have it.

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/model/ops/gemm_kernels.h"
#include "common/model/ops/gemm_tiles.h"

namespace reckon {
namespace {

// The compiler's tile intrinsics do not say that they read and write memory.
void Fence() { asm volatile("" ::: "memory"); }

class AmxTiles {
 public:
  AmxTiles(int rows0, int rows1) : two_(rows1 > 0) {
    struct alignas(64) {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    static_assert(sizeof(config) == 64);
    auto tile = [&](int index, int rows) {
      config.rows[index] = static_cast<uint8_t>(rows);
      config.row_bytes[index] = rows > 0 ? 64 : 0;
    };
    for (int i : {0, 1, 4}) tile(i, rows0);  // C of the first rows, left and right; A
    for (int i : {2, 3, 5}) tile(i, rows1);  // the same of the second rows
    for (int i : {6, 7}) tile(i, 16);        // B, left and right
    asm volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
  }
  AmxTiles(const AmxTiles&) = delete;
  ~AmxTiles() { _tile_release(); }

  void Zero() {
    _tile_zero(0);
    _tile_zero(1);
    if (!two_) return;
    _tile_zero(2);
    _tile_zero(3);
  }

  void Load(const float* c, int64_t ldc) {
    Fence();
    _tile_loadd(0, c, ldc * 4);
    _tile_loadd(1, c + 16, ldc * 4);
    if (!two_) return;
    _tile_loadd(2, c + 16 * ldc, ldc * 4);
    _tile_loadd(3, c + 16 * ldc + 16, ldc * 4);
  }

  void Step(const uint16_t* a, int64_t lda, const uint16_t* b) {
    Fence();
    _tile_loadd(6, b, 128);
    _tile_loadd(7, b + 32, 128);
    _tile_loadd(4, a, lda * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (!two_) return;
    _tile_loadd(5, a + 16 * lda, lda * 2);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }

  void Store(float* c, int64_t ldc) {
    _tile_stored(0, c, ldc * 4);
    _tile_stored(1, c + 16, ldc * 4);
    if (two_) {
      _tile_stored(2, c + 16 * ldc, ldc * 4);
      _tile_stored(3, c + 16 * ldc + 16, ldc * 4);
    }
    Fence();
  }

 private:
  const bool two_;
};

}  // namespace

bool CpuHasAmx() {
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22;
  if ((d & kTile) == 0 || (d & kBf16) == 0) return false;
  // Linux hands tile registers out on request (arch_prctl(ARCH_REQ_XCOMP_PERM,
  // XFEATURE_XTILEDATA)).
  constexpr int kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

void PanelBf16Amx(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                  float* c, int64_t ldc, bool add) {
  PanelBf16Tiles<AmxTiles>(a, m, lda, panel, k2, c, ldc, add);
}

}  // namespace reckon
