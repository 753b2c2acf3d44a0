#include "common/model/broadcast/device_broadcast.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
#include "common/model/torch_status.h"

namespace reckon {
namespace {

constexpr uint64_t kPieceBytes = 16 << 20;
constexpr size_t kBuffers = 2;

// A piece that is on its way.
struct Passing {
  absl::Span<char> bytes;
  at::Tensor on_device;
  c10::intrusive_ptr<c10d::Work> work;
};

class DeviceBroadcast : public BroadcastGroup {
 public:
  DeviceBroadcast(c10::intrusive_ptr<c10d::Backend> backend, c10::Device device,
                  absl::Duration silence)
      : backend_(std::move(backend)), device_(device), silence_(silence) {
    if (!device.is_cpu()) {
      stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
    }
  }

  // Aborts a broadcast that did not complete, which would hold the device. A backend that cannot is
  // leaked, as the ranks' groups are: its destructor would join threads that wait for members that
  // are gone.
  ~DeviceBroadcast() override {
    if (!broken_) return;
    const absl::Status aborted = CatchTorchErrors("abort", [&] {
      backend_->abort();
      return absl::OkStatus();
    });
    backend_.release();
  }

  absl::Status Pass(absl::Span<char> bytes, absl::Time deadline, const std::stop_token& stop,
                    absl::FunctionRef<void(uint64_t)> arrived) override {
    const absl::Status status = CatchTorchErrors("broadcast", [&]() -> absl::Status {
      const c10::DeviceGuard guard(device_);
      std::optional<c10::StreamGuard> on;
      if (stream_.has_value()) on.emplace(*stream_);
      std::vector<at::Tensor> buffers;
      std::deque<Passing> passing;
      uint64_t done = 0;
      const auto finish = [&]() -> absl::Status {
        RETURN_IF_ERROR(Await(*passing.front().work, deadline, stop));
        const Passing& piece = passing.front();
        done += piece.bytes.size();
        if (backend_->getRank() > 0) {
          OnHost(piece.bytes).copy_(piece.on_device);
          arrived(done);
        }
        buffers.push_back(piece.on_device);
        passing.pop_front();
        return absl::OkStatus();
      };
      for (uint64_t at = 0; at < bytes.size(); at += kPieceBytes) {
        if (passing.size() == kBuffers) RETURN_IF_ERROR(finish());
        const absl::Span<char> piece = bytes.subspan(at, kPieceBytes);
        const auto size = static_cast<int64_t>(piece.size());
        at::Tensor on_device;
        if (buffers.empty()) {
          on_device = at::empty({size}, at::TensorOptions(at::kByte).device(device_));
        } else {
          on_device = buffers.back().narrow(0, 0, size);
          buffers.pop_back();
        }
        if (backend_->getRank() == 0) on_device.copy_(OnHost(piece));
        std::vector<at::Tensor> tensors = {on_device};
        c10d::BroadcastOptions options;
        options.rootRank = 0;
        broken_ = true;  // until all are done
        passing.push_back({piece, on_device, backend_->broadcast(tensors, options)});
      }
      while (!passing.empty()) RETURN_IF_ERROR(finish());
      return absl::OkStatus();
    });
    broken_ = !status.ok();
    return status;
  }

 private:
  static at::Tensor OnHost(absl::Span<char> bytes) {
    return at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size())}, at::kByte);
  }

  // Asks the work again and again, as learner/parallel/c10d_work.h says why.
  absl::Status Await(c10d::Work& work, absl::Time deadline, const std::stop_token& stop) const {
    const absl::Time begin = absl::Now();
    absl::Duration pause = absl::Microseconds(50);
    while (!work.isCompleted()) {
      const absl::Time now = absl::Now();
      if (now > deadline || now - begin > silence_) {
        return absl::DeadlineExceededError("a member does not answer");
      }
      if (WaitForStop(stop, pause)) return absl::CancelledError("stopped");
      pause = std::min(pause * 2, absl::Milliseconds(5));
    }
    if (const std::exception_ptr error = work.exception()) std::rethrow_exception(error);
    work.wait();
    return absl::OkStatus();
  }

  c10::intrusive_ptr<c10d::Backend> backend_;
  const c10::Device device_;
  const absl::Duration silence_;
  std::optional<c10::Stream> stream_;  // of a GPU
  bool broken_ = false;                // a broadcast was begun and did not complete
};

}  // namespace

std::unique_ptr<BroadcastGroup> MakeDeviceBroadcast(c10::intrusive_ptr<c10d::Backend> backend,
                                                    c10::Device device, absl::Duration silence) {
  return std::make_unique<DeviceBroadcast>(std::move(backend), device, silence);
}

}  // namespace reckon
