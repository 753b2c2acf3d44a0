#ifndef RECKON_ACTOR_TROUBLES_H_
#define RECKON_ACTOR_TROUBLES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "actor/weights/weights_client.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// What keeps an actor from taking work for a while, and what it says of that in its reports:
//
//   a version that did not load     refused, and no work for ten seconds
//   one whose source is silent      no work for two seconds
//   rewards above their share of    no work for a minute, after which they are forgiven
//   failures
//
// Owned by an Actor. One thread.
class Troubles {
 public:
  // The content of a version is of no use, and why.
  void Refuse(uint64_t version, const absl::Status& why);
  // A version could not be loaded. `may_heal`: its source did not answer.
  void Pause(bool may_heal);
  // A version was loaded.
  void EndPause(uint64_t version);
  // Versions were published again with other content.
  void ForgetRefusal() { refusal_.reset(); }
  // How much longer no work is taken because of a version.
  absl::Duration pause() const;

  void SetFailing(std::string why);
  // Why rewards fail; empty: they do not.
  const std::string& failing() const { return failing_; }
  // Whether they have failed for a minute; once.
  bool Forgive();

  // `waiting_for`: by the rewards; `trouble`: of the weights client.
  ActorReport Report(const std::string& waiting_for,
                     const std::optional<WeightsClient::Trouble>& trouble) const;

 private:
  struct Refusal {
    uint64_t version;
    std::string why;
  };
  std::optional<Refusal> refusal_;  // the last one
  absl::Time pause_until_ = absl::InfinitePast();
  std::string failing_;
  absl::Time forgive_at_ = absl::InfiniteFuture();
};

}  // namespace reckon

#endif  // RECKON_ACTOR_TROUBLES_H_
