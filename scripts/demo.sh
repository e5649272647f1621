#!/usr/bin/env bash
# A first look at the starter model; then the whole path on generated talking faces: corpus,
# preparation, both stages, the table, a frame student of the detector, verdicts.
# Usage: scripts/demo.sh [FOLDER]   (default runs/demo)
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$AVKD_ROOT"
demo="${1:-runs/demo}"
if [ -e "$demo" ]; then
  echo "$demo is there already; remove it or give another folder: scripts/demo.sh FOLDER" >&2
  exit 2
fi
step() { echo; echo "== $* =="; }

step "1/8 a first look: the model that ships, on a real portrait and on forgeries of it"
look="$demo/first_look"
python scripts/first_look.py "$look/pictures"
avkd predict "$look"/pictures/test/{real/as_it_is,fake/{self_blended,texture_resynthesis}/0}.png \
  --page "$look/verdicts.html"
avkd prepare --layout real_fake_images --source "$look/pictures" --out "$look/prepared" \
  --crop_pixels 192 --crop_margin 1.3
avkd evaluate --model starter --data "$look/prepared" --out "$look/table" > /dev/null
echo "verdict page: $look/verdicts.html"
echo "report page (one person only, so a look and no test): $look/table/report.html"

step "2/8 generate a talking-face corpus"
avkd synth --out "$demo/corpus" --identities 24 --clips_per_identity 4

step "3/8 crop, align and store the faces"
avkd prepare --layout lrw --source "$demo/corpus/lrw_like/lipread_mp4" \
  --out "$demo/prepared/talking" --detector boxes --options.clips_per_word 0
avkd prepare --layout faceforensics --source "$demo/corpus/faceforensics_like" \
  --out "$demo/prepared/seen" --detector boxes --dataset generated
avkd prepare --layout celebdf --source "$demo/corpus/celebdf_like" \
  --out "$demo/prepared/unseen" --detector boxes --dataset generated_unseen --split test

step "4/8 stage one: students and teachers across sound and picture"
avkd pretrain --config configs/demo/pretrain.yaml \
  --data "$demo/prepared/talking" --run "$demo/stage1"

step "5/8 stage two: real or fake, with the auxiliary task"
avkd finetune --config configs/demo/finetune.yaml --ssl_weight 0.3 \
  --data "$demo/prepared/seen" \
  --pretrained "$demo/stage1/model.safetensors" --run "$demo/stage2"

step "6/8 the table: unseen identities, then an unseen corpus with an unseen method"
avkd evaluate --model "$demo/stage2/model.safetensors" --out "$demo/evaluation" \
  --data "$demo/prepared/seen" "$demo/prepared/unseen"

step "7/8 distillation: the detector teaches single frames to a network of 0.1 M parameters"
avkd distill --config configs/demo/distill.yaml --data "$demo/prepared/seen" \
  --teacher "$demo/stage2/model.safetensors" --run "$demo/student"
avkd evaluate --model "$demo/student/model.safetensors" --out "$demo/evaluation_student" \
  --data "$demo/prepared/seen" "$demo/prepared/unseen"

step "8/8 verdicts on one fake of the unseen corpus, where the tables above are near chance (50)"
file="$(find "$demo/corpus/celebdf_like/Celeb-synthesis" -name '*.mp4' | sort | head -n 1)"
avkd predict --model "$demo/stage2/model.safetensors" --detector boxes "$file"
avkd predict --model "$demo/student/model.safetensors" --detector boxes "$file"

cat <<END

Made in $demo:
  first_look/table/           the starter on one person's pictures: report.html
  corpus/                     generated clips in the trees of LRW, FaceForensics++ and Celeb-DF
  stage1/ stage2/ student/    runs: config, log.jsonl, checkpoints, model.safetensors
  evaluation/report.html      tables and pictures on one page; report.md, .csv; scores/ every score
  evaluation_student/         the same of the frame student
Try next:
  tensorboard --logdir $demo
  avkd predict YOUR_VIDEO.mp4 --model $demo/stage2/model.safetensors
    (it has seen drawn faces only, so its verdict on a real one means nothing)
  scripts/train_on_clips.sh YOUR_CLIPS OUT      the same on real faces, forging its own fakes
END
