// The body of a request to `reckon serve` becomes prompts within bounds, or one line says why not.
#include "actor/serve/api_error.h"
#include "actor/serve/api_request.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/tiny_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  static const ServedModel& model =
      *new ServedModel(*ServedModel::Load(MakeTinyModel().manifest.texts(), "tiny", ""));
  for (const Endpoint endpoint : {Endpoint::kCompletions, Endpoint::kChat}) {
    const auto read = ReadApiRequest(endpoint, TextOf(data, size), model, model.max_positions / 2);
    if (!read.ok()) {
      CheckRefusal(read.status());
      const int status = HttpStatus(read.status());
      CHECK(status == 400 || status == 404) << read.status();
      continue;
    }
    const GenerationRequest& out = read->generation;
    CHECK(!out.prompts.empty() && out.prompts.size() * out.samples <= kMaxChoices);
    for (const auto& prompt : out.prompts) {
      CHECK(!prompt.empty());
      CHECK_LE(prompt.size() + 1, static_cast<size_t>(model.max_positions));
    }
    CHECK_GT(out.sampling.max_new_tokens(), 0u);
    CHECK_LE(out.ranked, kMaxTopLogprobs);
  }
  return 0;
}
