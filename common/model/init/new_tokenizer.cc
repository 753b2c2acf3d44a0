#include "common/model/init/new_tokenizer.h"

#include <nlohmann/json.hpp>

#include "common/text/byte_alphabet.h"

namespace reckon {
namespace {

using Json = nlohmann::json;

constexpr char kChatTemplate[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

}  // namespace

std::string NewTokenizerJson(absl::Span<const std::pair<std::string, std::string>> merges) {
  Json vocab = Json::object(), added = Json::array(), joined = Json::array();
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    added.push_back({{"id", vocab.size()},
                     {"content", special},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    vocab.emplace(special, vocab.size());
  }
  for (int byte = 0; byte < 256; ++byte) {
    vocab.emplace(LetterOfByte(static_cast<uint8_t>(byte)), vocab.size());
  }
  for (const auto& [left, right] : merges) {
    joined.push_back(left + " " + right);
    vocab.emplace(left + right, vocab.size());
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  return Json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", added},
              {"normalizer", nullptr},
              {"pre_tokenizer",
               {{"type", "Sequence"}, {"pretokenizers", Json::array({digits, byte_level})}}},
              {"post_processor", nullptr},
              {"decoder", byte_level},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", false},
                {"vocab", vocab},
                {"merges", joined}}}}
      .dump();
}

std::string NewTokenizerConfigJson() {
  return Json{{"tokenizer_class", "GPT2Tokenizer"}, {"add_prefix_space", false},
              {"bos_token", "<|im_start|>"},        {"eos_token", "<|im_end|>"},
              {"pad_token", "<|im_end|>"},          {"unk_token", "<|endoftext|>"},
              {"model_max_length", 8192},           {"clean_up_tokenization_spaces", false},
              {"chat_template", kChatTemplate}}
      .dump();
}

}  // namespace reckon
