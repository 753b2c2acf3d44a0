// Reads the input as a sequence of valid and invalid requests, commits and restarts. The ledger's
// equations hold after each of them, and every refusal is a message of one line.
#include <vector>

#include "coordinator/core/core.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

class Requests {
 public:
  Requests(const uint8_t* data, size_t size) : text_(TextOf(data, size)) { Restart(); }

  void Run() {
    for (int i = 0; i < 200 && !text_.empty(); ++i) {
      Step(Byte() % 18);
      const absl::Status holds = core_->CheckInvariants();
      CHECK(holds.ok()) << holds;
    }
  }

 private:
  uint8_t Byte() {
    if (text_.empty()) return 0;
    const uint8_t byte = text_[0];
    text_.remove_prefix(1);
    return byte;
  }
  std::string Plan() { return Byte() % 2 == 0 ? "a" : "b"; }
  std::string Actor() { return Byte() % 2 == 0 ? "x" : "y"; }

  // A request as a client of the wire may send it: up to 255 bytes of the input.
  template <typename Request>
  Request Raw() {
    const absl::string_view bytes = text_.substr(0, Byte());
    text_.remove_prefix(std::min(bytes.size(), text_.size()));
    Request request;
    if (!request.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      request.Clear();
    }
    return request;
  }

  void See(const absl::Status& status) {
    if (!status.ok()) CheckRefusal(status);
  }

  void Step(int event) {
    switch (event) {
      case 0:
        return See(core_->OpenPlan(OpenRequest(MakeSpec(Plan(), 1 + Byte() % 3, 1 + Byte() % 3)))
                       .status());
      case 1: {
        const std::string plan = Plan();
        const uint64_t first = Byte() % 16, count = Byte() % 5;
        return See(
            core_->AppendGroups(AppendRequest(plan, first, count, Byte() % 8 == 0)).status());
      }
      case 2:
        return See(core_->PublishWeights(PublishRequest(Byte() % 4)));
      case 3: {
        const auto reply = core_->Lease(WantLease(Actor(), Byte() % 8, Byte() % 4), now_);
        See(reply.status());
        if (!reply.ok()) return;
        leases_.insert(leases_.end(), reply->leases().begin(), reply->leases().end());
        return;
      }
      case 4:
      case 5:
        return Submit();
      case 6: {
        ReturnLeasesRequest request;
        request.set_actor(Actor());
        request.add_leases(Byte() % 8);
        if (Byte() % 2 == 0) request.set_error("failed");
        return See(core_->ReturnLeases(request, now_));
      }
      case 7:
        now_ += absl::Seconds(Byte());
        return core_->Tick(now_);
      case 8:
        return See(core_->NextBatch(BatchRequest(Plan(), Byte() % 8)).status());
      case 9:
        return See(core_->MarkApplied(AppliedRequest(Plan(), Byte() % 8, Byte() % 4)));
      case 10:
        return Commit();
      case 11:
        return Restart();
      case 12:
        return See(core_->OpenPlan(Raw<OpenPlanRequest>()).status());
      case 13:
        return See(core_->AppendGroups(Raw<AppendGroupsRequest>()).status());
      case 14: {
        const SubmitReply::Ack ack = core_->Submit(Raw<SubmitRequest>(), now_);
        CHECK(ack.outcome() != SubmitReply::Ack::REJECTED || !ack.message().empty());
        return;
      }
      case 15:
        return See(core_->AppendSelection(Raw<AppendSelectionRequest>()));
      case 16:
        return Other(Byte() % 8);
      default:
        return See(core_->MarkDurable(Raw<MarkDurableRequest>()));
    }
  }

  void Submit() {
    if (leases_.empty()) return;
    const Lease& lease = leases_[Byte() % leases_.size()];
    const uint32_t sample = lease.samples(Byte() % lease.samples_size());
    core_->Submit(
        SubmitOf(Actor(), lease.id(),
                 MakeRollout(lease.plan(), lease.item().group(), sample, lease.weight_version())),
        now_);
  }

  void Other(int event) {
    switch (event) {
      case 0:
        return See(core_->PublishWeights(Raw<PublishWeightsRequest>()));
      case 1:
        return See(core_->RenewLeases(Raw<RenewLeasesRequest>(), now_).status());
      case 2:
        return See(core_->BeginTerm(Raw<BeginTermRequest>()).status());
      case 3:
        return See(core_->UseRendezvous(Raw<RendezvousRequest>(), Byte() % 2 == 0).status());
      case 4:
        return See(core_->GetManifest(Raw<GetManifestRequest>()).status());
      case 5:
        return See(core_->Heartbeat(Raw<HeartbeatRequest>(), now_).status());
      case 6: {
        HeartbeatRequest request;
        request.set_term(Byte() % 4);
        request.set_rank(Byte() % 4);
        request.set_host(Actor());
        request.set_leaving(Byte() % 4 == 0);
        if (Byte() % 4 == 0) request.set_failure(Plan());
        return See(core_->Heartbeat(request, now_).status());
      }
      default:
        return See(core_->ClosePlan(Raw<ClosePlanRequest>()));
    }
  }

  void Commit() {
    const absl::Status committed = core_->Commit();
    CHECK(committed.ok()) << committed;
  }

  // Loses what was not committed, as a kill does.
  void Restart() {
    CoreOptions options;
    options.run = "fuzz";
    options.max_resident_groups = 32;
    options.retention = CoordinatorSettings::SELECTED;
    core_.reset();
    auto core = StoredCore::Recover(&store_, options);
    CHECK(core.ok()) << core.status();
    core_ = *std::move(core);
  }

  absl::string_view text_;
  MemoryStore store_;
  std::unique_ptr<StoredCore> core_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::vector<Lease> leases_;
};

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  reckon::Requests(data, size).Run();
  return 0;
}
