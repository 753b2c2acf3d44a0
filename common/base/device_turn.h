#ifndef RECKON_COMMON_BASE_DEVICE_TURN_H_
#define RECKON_COMMON_BASE_DEVICE_TURN_H_

#include <memory>
#include <stop_token>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace reckon {

// Whose turn it is on a device that processes of one machine share. Only the process that has the
// turn computes there and keeps memory there that the others may need:
//
//              TryTake            TryTake
//   without ------------> in line ----------> with the turn        held()
//      ^                    |                       |
//      +--------------------+-----------------------+  Release
//
// Files under flock make it, which the kernel releases when a process dies. So one that is killed
// holds up nobody:
//
//   PATH        held by the process that has the turn
//   PATH.next   held by the first in line until it has the turn
//   PATH.left   held by the process whose text (Leave) is in PATH, as long as it lives; locked only
//               by who has the turn, or Leave could fail
//
// A process that releases the turn and wants it again is in line after the one that waits, and
// who has the turn learns from wanted() that somebody waits.
//
// Who has the turn may leave a text for the next one: what of its memory on the device the next one
// may read in its turn.
//
// Actor and learner of one device cannot wait for each other for ever:
//   - The learner releases the turn before it waits for samples, so an actor that has work gets it.
//   - The actor releases the turn when it is wanted and no sample is in flight; while it is wanted
//     it starts no more than what it has admitted, which ends.
//   - An actor without work wants nothing. Admission bounds what it may sample ahead of the
//     learner, so what the learner waits for is sampled before the actor runs out of work.
//   - Neither waits for the other in any other way while it has the turn: weights, leases and
//     rollouts go through threads and a coordinator that need no turn.
// Several actors may be on one device, but only one learner rank: ranks wait for each other in
// collectives. Ranks of several devices: learner/context/shared_device.h.
//
// Owned by the role that takes turns; one thread.
class DeviceTurn {
 public:
  // Who is in line looks so often whether it is its turn.
  static constexpr absl::Duration kPoll = absl::Milliseconds(5);

  // Makes the files, unless they exist. An error is one line: the file system has no locks, or the
  // files cannot be made.
  static absl::StatusOr<std::unique_ptr<DeviceTurn>> Open(const std::string& path);
  ~DeviceTurn();
  DeviceTurn(const DeviceTurn&) = delete;
  DeviceTurn& operator=(const DeviceTurn&) = delete;

  // Takes the turn, or a place in line. Does not wait; true: this process has the turn.
  bool TryTake();
  // Waits for the turn. CANCELLED when stopped, without a place in line then. `waits` is called
  // once, when it has waited for a second.
  absl::Status Take(const std::stop_token& stop, absl::FunctionRef<void()> waits);
  // Gives up the turn or the place in line, if it has one.
  void Release();

  // The text that was left last, by a process that lives; empty: none. Only with the turn.
  std::string left() const;
  // Whether the process still lives that has left a text; of other processes than that one. Only
  // with the turn.
  bool leaver_lives() const;
  absl::Status Leave(const std::string& text);

  bool held() const { return state_ == State::kHeld; }
  bool in_line() const { return state_ == State::kInLine; }
  // Whether another process is in line.
  bool wanted() const;

 private:
  enum class State { kWithout, kInLine, kHeld };

  DeviceTurn(int turn, int next, int left) : turn_(turn), next_(next), left_(left) {}

  const int turn_, next_, left_;  // files
  State state_ = State::kWithout;
};

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_DEVICE_TURN_H_
