#include "common/model/files/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace reckon {
namespace {

using Json = nlohmann::json;

// Larger offsets are refused, so that sums cannot overflow.
constexpr uint64_t kMaxOffset = 1ull << 53;

// Parses the header's JSON event by event. A tree would take memory for hostile input, could be
// deeply nested, and would hide duplicate keys.
class HeaderHandler : public nlohmann::json_sax<Json> {
 public:
  struct Tensor {
    TensorEntry entry;
    uint64_t end = 0;
  };

  std::string error;
  std::vector<Tensor> tensors;

  bool null() override { return Fail("null is not allowed"); }
  bool boolean(bool) override { return Fail("a boolean is not allowed"); }
  bool number_float(double, const std::string&) override {
    return Fail("a number is not an integer in range");
  }
  bool binary(binary_t&) override { return Fail("binary is not allowed"); }
  bool number_integer(int64_t) override { return Fail("a number is negative"); }

  bool number_unsigned(uint64_t value) override {
    if (where_ == Where::kShape) {
      if (value > kMaxOffset) return Fail("a dimension is out of range");
      if (current_.entry.shape_size() >= kMaxTensorRank) return Fail("too many dimensions");
      current_.entry.add_shape(static_cast<int64_t>(value));
      return true;
    }
    if (where_ == Where::kOffsets) {
      if (value > kMaxOffset) return Fail("an offset is out of range");
      if (offsets_ == 0) current_.entry.set_offset(value);
      if (offsets_ == 1) current_.end = value;
      if (++offsets_ > 2) return Fail("data_offsets must have two numbers");
      return true;
    }
    return Fail("a number is out of place");
  }

  bool string(std::string& value) override {
    if (where_ == Where::kMetadata) return true;
    if (where_ != Where::kTensor || field_ != "dtype") return Fail("a string is out of place");
    current_.entry.set_dtype(value);
    return true;
  }

  bool start_object(size_t) override {
    switch (where_) {
      case Where::kOutside:
        where_ = Where::kTop;
        return true;
      case Where::kTop:
        where_ = field_ == "__metadata__" ? Where::kMetadata : Where::kTensor;
        keys_.clear();
        if (where_ == Where::kTensor) {
          current_ = Tensor();
          current_.entry.set_name(field_);
          offsets_ = 0;
        }
        return true;
      default:
        return Fail("an object is out of place");
    }
  }

  bool key(std::string& name) override {
    if (where_ == Where::kTop) {
      if (name.empty() || name.size() > kMaxTensorName) {
        return Fail(absl::StrCat("a tensor's name has ", name.size(), " bytes; 1 to ",
                                 kMaxTensorName, " are allowed"));
      }
      if (!names_.insert(name).second)
        return Fail(absl::StrCat("duplicate name ", Printable(name)));
      if (names_.size() > kMaxTensors) return Fail("more tensors than the limit");
    } else {
      if (keys_.size() > kMaxTensors) return Fail("more metadata than the limit");
      if (!keys_.insert(name).second) return Fail(absl::StrCat("duplicate key ", Printable(name)));
      if (where_ == Where::kTensor && name != "dtype" && name != "shape" &&
          name != "data_offsets") {
        return Fail(absl::StrCat("unknown key ", Printable(name)));
      }
    }
    field_ = name;
    return true;
  }

  bool end_object() override {
    if (where_ == Where::kTensor) {
      if (keys_.size() != 3) return Fail("needs dtype, shape and data_offsets");
      if (offsets_ != 2) return Fail("data_offsets must have two numbers");
      tensors.push_back(std::move(current_));
    }
    where_ = where_ == Where::kTop ? Where::kOutside : Where::kTop;
    return true;
  }

  bool start_array(size_t) override {
    if (where_ == Where::kTensor && field_ == "shape") {
      where_ = Where::kShape;
    } else if (where_ == Where::kTensor && field_ == "data_offsets") {
      where_ = Where::kOffsets;
    } else {
      return Fail("an array is out of place");
    }
    return true;
  }

  bool end_array() override {
    where_ = Where::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    return Fail(absl::StrCat("not valid JSON at byte ", position));
  }

 private:
  enum class Where { kOutside, kTop, kMetadata, kTensor, kShape, kOffsets };

  bool Fail(absl::string_view what) {
    bool in_tensor =
        where_ == Where::kTensor || where_ == Where::kShape || where_ == Where::kOffsets;
    error = in_tensor ? absl::StrCat("tensor ", Printable(current_.entry.name()), ": ", what)
                      : std::string(what);
    return false;
  }

  Where where_ = Where::kOutside;
  std::string field_;
  Tensor current_;
  int offsets_ = 0;
  absl::flat_hash_set<std::string> names_;
  absl::flat_hash_set<std::string> keys_;
};

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("safetensors header: ", what));
}

// Types that only tensors have that are left out.
constexpr std::pair<absl::string_view, uint64_t> kOtherTypes[] = {
    {"F64", 8}, {"I64", 8}, {"U64", 8}, {"I32", 4},     {"U32", 4},     {"I16", 2},
    {"U16", 2}, {"I8", 1},  {"U8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};

absl::Status Invalid(const TensorEntry& tensor, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tensor ", Printable(tensor.name()), ": ", what));
}

absl::StatusOr<uint64_t> SizeOf(const TensorEntry& tensor, uint64_t bytes) {
  if (tensor.shape_size() > kMaxTensorRank) return Invalid(tensor, "too many dimensions");
  for (int64_t dimension : tensor.shape()) {
    if (dimension < 1) return Invalid(tensor, "a dimension is below 1");
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(dimension), &bytes) ||
        bytes > kMaxOffset) {
      return Invalid(tensor, "its size overflows");
    }
  }
  return bytes;
}

}  // namespace

std::optional<uint64_t> DtypeBytes(absl::string_view dtype) {
  if (dtype == "F32") return 4;
  if (dtype == "BF16" || dtype == "F16") return 2;
  return std::nullopt;
}

absl::StatusOr<uint64_t> TensorBytes(const TensorEntry& tensor) {
  std::optional<uint64_t> size = DtypeBytes(tensor.dtype());
  if (size) return SizeOf(tensor, *size);
  return Invalid(tensor, absl::StrCat("type ", Printable(tensor.dtype()),
                                      " is not supported; F32, BF16 and F16 are"));
}

absl::StatusOr<uint64_t> StoredBytes(const TensorEntry& tensor) {
  std::optional<uint64_t> size = DtypeBytes(tensor.dtype());
  for (const auto& [name, bytes] : kOtherTypes) {
    if (tensor.dtype() == name) size = bytes;
  }
  if (size) return SizeOf(tensor, *size);
  return Invalid(tensor, absl::StrCat("dtype ", Printable(tensor.dtype()), " is unknown"));
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view head,
                                                         uint64_t file_bytes) {
  if (head.size() < 8 || file_bytes < 8) return Invalid("the file has fewer than 8 bytes");
  uint64_t length;
  std::memcpy(&length, head.data(), 8);  // little endian, as x86-64 is
  if (length > kMaxSafetensorsHeader) {
    return Invalid(
        absl::StrCat("its length ", length, " is above the limit of ", kMaxSafetensorsHeader));
  }
  if (length < 2 || length > file_bytes - 8 || length > head.size() - 8) {
    return Invalid(
        absl::StrCat("its length ", length, " does not fit the file of ", file_bytes, " bytes"));
  }
  absl::string_view json = head.substr(8, length);
  if (json[0] != '{') return Invalid("does not begin with {");
  // The lexer treats a NUL as the end of its input and would ignore the rest.
  if (std::memchr(json.data(), '\0', json.size()) != nullptr) return Invalid("has a NUL byte");

  HeaderHandler handler;
  if (!Json::sax_parse(json.begin(), json.end(), &handler) || !handler.error.empty()) {
    return Invalid(handler.error.empty() ? "not valid JSON" : handler.error);
  }

  SafetensorsHeader header;
  header.data_begin = 8 + length;
  header.data_bytes = file_bytes - header.data_begin;
  std::sort(handler.tensors.begin(), handler.tensors.end(),
            [](const auto& a, const auto& b) { return a.entry.offset() < b.entry.offset(); });
  uint64_t position = 0;
  for (HeaderHandler::Tensor& tensor : handler.tensors) {
    absl::StatusOr<uint64_t> bytes = StoredBytes(tensor.entry);
    if (!bytes.ok()) return Invalid(bytes.status().message());
    std::string name = absl::StrCat("tensor ", Printable(tensor.entry.name()), ": ");
    if (tensor.end < tensor.entry.offset() || tensor.end - tensor.entry.offset() != *bytes) {
      return Invalid(absl::StrCat(name, "shape and dtype need ", *bytes,
                                  " bytes but data_offsets give another size"));
    }
    if (tensor.entry.offset() != position) {
      return Invalid(absl::StrCat(name, "begins at ", tensor.entry.offset(), ", expected ",
                                  position, " (a hole or an overlap)"));
    }
    if (tensor.end > header.data_bytes)
      return Invalid(absl::StrCat(name, "ends beyond the end of the file"));
    position = tensor.end;
    header.tensors.push_back(std::move(tensor.entry));
  }
  if (header.tensors.empty()) return Invalid("has no tensors");
  if (position != header.data_bytes) {
    return Invalid(absl::StrCat("the tensors end at ", position, " but the file has ",
                                header.data_bytes, " bytes of data"));
  }
  return header;
}

std::string FormatSafetensorsHeader(const WeightManifest& manifest) {
  // Built by hand to keep manifest order; the JSON library quotes the names.
  std::string json = R"({"__metadata__":{"format":"pt"})";
  for (int i = 0; i < manifest.tensors_size(); ++i) {
    const TensorEntry& tensor = manifest.tensors(i);
    uint64_t end =
        i + 1 < manifest.tensors_size() ? manifest.tensors(i + 1).offset() : manifest.total_bytes();
    absl::StrAppend(&json, ",",
                    Json(tensor.name()).dump(-1, ' ', false, Json::error_handler_t::replace),
                    R"(:{"dtype":")", tensor.dtype(), R"(","shape":[)");
    for (int d = 0; d < tensor.shape_size(); ++d) {
      absl::StrAppend(&json, d == 0 ? "" : ",", tensor.shape(d));
    }
    absl::StrAppend(&json, R"(],"data_offsets":[)", tensor.offset(), ",", end, "]}");
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  uint64_t length = json.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + json;
}

}  // namespace reckon
