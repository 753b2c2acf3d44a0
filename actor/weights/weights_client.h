#ifndef RECKON_ACTOR_WEIGHTS_WEIGHTS_CLIENT_H_
#define RECKON_ACTOR_WEIGHTS_WEIGHTS_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/model/files/model_folder.h"
#include "common/model/transfer/fetch.h"
#include "common/model/transfer/server.h"
#include "common/net/security.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

struct WeightsClientOptions {
  // Those of FetchOptions.
  std::string packed_layout = {};
  ReceiveChunks receive = nullptr;
};

// Fetches weight versions while the engine runs: the newest one as soon as it is published, and any
// other that is requested. Its thread does, again and again:
//
//   1. A version is requested: get its manifest. Else: wait for one newer than the last fetched.
//   2. Map it from the learner's memory on this host, or else take what the learner broadcasts and
//      fetch the other chunks from the actors that the coordinator names and the learner, and check
//      every digest. With a server, others get them from here meanwhile, and until the next version
//      has come. Of adapters, first the version that they are over in the same way, unless it is
//      here: it stays as long as adapters over it come.
//   3. Keep the result for TakeFetched and call `notify`.
//
// At most one requested version and one newest version are kept, so memory is bounded. A version
// that cannot be fetched whole is logged and retried with back-off, and trouble() says which and
// why. Only for a requested version is the error kept as the result, after a few attempts, because
// leases wait for it. Thread-safe.
class WeightsClient {
 public:
  struct Fetched {
    uint64_t version = 0;
    absl::StatusOr<Weights> weights;
    absl::Duration took;
  };

  // A version that cannot be fetched.
  struct Trouble {
    uint64_t version = 0;
    absl::Status why;
    // What is served is not what the manifest describes, or no such weights can be: another attempt
    // gives the same. Otherwise the source may answer later.
    bool refused = false;
  };

  // `stub` must outlive the client; `security` is for the sources of weights. `notify` is called on
  // the client's thread when there is something to take or the trouble changes; it must not block.
  // `server` serves fetched versions to other actors; null: nobody does.
  WeightsClient(Coordinator::StubInterface* stub, std::shared_ptr<const Security> security,
                std::function<void()> notify, std::unique_ptr<WeightServer> server = nullptr,
                WeightsClientOptions options = {});
  ~WeightsClient();
  WeightsClient(const WeightsClient&) = delete;
  WeightsClient& operator=(const WeightsClient&) = delete;

  // Requests a version, which is fetched before any other.
  void Request(uint64_t version);
  // Returns the requested version if it is there, or else the newest one.
  std::optional<Fetched> TakeFetched();
  // Whether TakeFetched has something to return.
  bool has_fetched();
  // The newest one, if it is there, whole, and newer than this.
  std::optional<Fetched> TakeNewerThan(uint64_t version);

  // Nothing while versions can be fetched, and before the first attempt has failed. A source that
  // has sent nothing for three seconds is a trouble as well, of which `notify` does not tell.
  std::optional<Trouble> trouble();

  // True after a learner that was restarted from a checkpoint has published a version number again
  // with other weights. Loaded versions must then not be used for new work; unload them and call
  // ClearInvalidated.
  bool invalidated();
  void ClearInvalidated();

 private:
  void Loop();
  std::optional<uint64_t> requested();
  // Without a version: waits at the coordinator for a newer one than the last fetched. NOT_FOUND:
  // there is none. CANCELLED: a version was requested meanwhile.
  absl::StatusOr<GetManifestReply> GetManifest(std::optional<uint64_t> version);
  // Takes the texts that came with a manifest, or adds those that are here.
  absl::Status KeepTexts(WeightManifest* manifest);
  // Fetches the version of the reply, with the base of adapters.
  absl::StatusOr<Weights> FetchVersion(const GetManifestReply& reply);
  // The whole weights under these adapters.
  absl::StatusOr<std::shared_ptr<const Weights>> BaseOf(const WeightManifest& adapters);
  // Fetches what the manifest of the reply lists, and serves it where there is a server.
  absl::StatusOr<Weights> FetchFrom(const GetManifestReply& reply);
  // Serves a version no more that is neither held_ nor base_.
  void StopServing(uint64_t version);
  // Returns false when it has to be tried again after a pause.
  bool Fetch(std::optional<uint64_t> requested, int attempt);
  void Keep(Fetched fetched, bool was_requested);
  void SetTrouble(std::optional<Trouble> trouble);
  // A new learner may publish numbers that are not newer, which waiting for newer ones never shows.
  void CheckTerm();
  void NoteTerm(const WeightManifest& manifest);

  Coordinator::StubInterface* const stub_;
  const std::shared_ptr<const Security> security_;
  const std::function<void()> notify_;
  const WeightsClientOptions options_;
  std::stop_source stop_;

  absl::Mutex mu_;
  std::optional<uint64_t> requested_ ABSL_GUARDED_BY(mu_);
  std::optional<Fetched> requested_result_ ABSL_GUARDED_BY(mu_);
  std::optional<Fetched> newest_result_ ABSL_GUARDED_BY(mu_);
  std::optional<uint64_t> newest_fetched_ ABSL_GUARDED_BY(mu_);
  std::optional<Trouble> trouble_ ABSL_GUARDED_BY(mu_);
  struct Fetching {
    uint64_t version;
    std::string source;
    absl::Time moved;  // the last chunk arrived, or the source was asked
  };
  std::optional<Fetching> fetching_ ABSL_GUARDED_BY(mu_);
  bool invalidated_ ABSL_GUARDED_BY(mu_) = false;
  std::stop_source cancel_wait_ ABSL_GUARDED_BY(mu_);  // ends the present wait for a newer version

  // Used by the client's thread alone.
  uint64_t checked_term_ = 0;     // term of the learner at the last CheckTerm
  std::optional<uint64_t> term_;  // term in which the newest manifest was published
  std::string newest_digests_;    // of version newest_fetched_
  FolderTexts texts_;             // that came last
  std::string texts_sha256_;
  // What was fetched last, until the next one is there: served by server_, and what that one's
  // differences are against.
  std::optional<Weights> held_;
  std::shared_ptr<const Weights> base_;  // of the adapters that were fetched last
  // The learner's memory can be mapped, so others on other hosts get versions from the learner.
  bool maps_ = false;

  const std::unique_ptr<WeightServer> server_;
  std::thread thread_;  // last: it starts when all other members are initialized
};

}  // namespace reckon

#endif  // RECKON_ACTOR_WEIGHTS_WEIGHTS_CLIENT_H_
