#include "inference.h"

#include <cstring>

#include "esp_heap_caps.h"
#include "esp_log.h"
#include "sdkconfig.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#if !CONFIG_BINSIGHT_MODE_SERVER

namespace {

constexpr char kTag[] = "inference";
constexpr size_t kArena = (BINSIGHT_ARENA_BYTES + 4096 + CONFIG_BINSIGHT_SCRATCH_KIB * 1024 + 15) / 16 * 16;
constexpr size_t kLeftForRadio = 120 * 1024;  // Wi-Fi, TLS and the camera need internal memory
constexpr uint32_t kInternal = MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT;
constexpr uint32_t kExternal = MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT;

tflite::MicroInterpreter *interpreter;

uint8_t *AllocateArena() {
  bool is_room = heap_caps_get_free_size(kInternal) > kArena + kLeftForRadio;
  void *arena = is_room ? heap_caps_aligned_alloc(16, kArena, kInternal) : nullptr;
  const char *where = "internal memory";
  if (arena == nullptr) {
    arena = heap_caps_aligned_alloc(16, kArena, kExternal);
    where = "PSRAM, which is slower";
  }
  if (arena == nullptr) {
    ESP_LOGE(kTag, "no room for %u bytes: the board needs PSRAM", static_cast<unsigned>(kArena));
  } else {
    ESP_LOGI(kTag, "%u bytes in %s", static_cast<unsigned>(kArena), where);
  }
  return static_cast<uint8_t *>(arena);
}

bool Load() {
  const tflite::Model *model = tflite::GetModel(binsight_model);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    ESP_LOGE(kTag, "expected schema %d, got %u", TFLITE_SCHEMA_VERSION, static_cast<unsigned>(model->version()));
    return false;
  }
  uint8_t *arena = AllocateArena();
  if (arena == nullptr) {
    return false;
  }
  static tflite::MicroMutableOpResolver<4> operators;
  operators.AddConv2D();
  operators.AddDepthwiseConv2D();
  operators.AddAveragePool2D();
  operators.AddReshape();
  static tflite::MicroInterpreter made(model, operators, arena, kArena);
  if (made.AllocateTensors() != kTfLiteOk) {
    ESP_LOGE(kTag, "the arena is too small: raise BINSIGHT_SCRATCH_KIB");
    return false;
  }
  if (made.input(0)->type != kTfLiteInt8 || made.input(0)->bytes != BINSIGHT_INPUT_BYTES ||
      made.output(0)->type != kTfLiteInt8 || made.output(0)->bytes != BINSIGHT_CLASSES) {
    ESP_LOGE(kTag, "the network has other inputs or outputs than model.h says");
    return false;
  }
  ESP_LOGI(kTag, "%s, %u bytes used", BINSIGHT_MODEL, static_cast<unsigned>(made.arena_used_bytes()));
  interpreter = &made;
  return true;
}

bool PassesGoldenPictures() {
  int8_t logits[BINSIGHT_CLASSES];
  for (uint32_t i = 0; i < BINSIGHT_GOLDEN_COUNT; i++) {
    binsight_golden_input(i, inference_input());
    if (!inference_run(logits)) {
      return false;
    }
    if (memcmp(logits, binsight_golden_output[i], sizeof logits) != 0) {
      ESP_LOGE(kTag, "golden picture %u: wrong bytes; set CONFIG_NN_ANSI_C=y (slow, right) or another esp-nn",
               static_cast<unsigned>(i));
      return false;
    }
  }
  return true;
}

}  // namespace

bool inference_start(void) { return Load() && PassesGoldenPictures(); }

int8_t *inference_input(void) { return interpreter->input(0)->data.int8; }

bool inference_run(int8_t logits[BINSIGHT_CLASSES]) {
  if (interpreter->Invoke() != kTfLiteOk) {
    ESP_LOGE(kTag, "the network could not be run");
    return false;
  }
  memcpy(logits, interpreter->output(0)->data.int8, BINSIGHT_CLASSES);
  return true;
}

#endif
