#!/usr/bin/env bash
# Makes the models that ship with avkd, starter and starter-fast, and their card: real photographs and
# clips with fakes made of them while training, generated faces, then a student; tested on people,
# generators and tools that nothing was trained or selected on.
# Usage: scripts/make_starter.sh MEDIA OUT
#   MEDIA  a folder with images/{real,fake}, grid, korean_woman, intel_asl, lavse_tmsv, lipify,
#          nvidia_maxine, pyfeat, bob_io_video, fake_tools, fake_talkingavatar and MANIFEST.csv
#   OUT    folder for everything that is made; a stopped run goes on
# Needs 'avkd[teacher]' (installed by environment.sh). SEED is the seed of both trainings (default 0).
set -euo pipefail
. "$(dirname "$0")/environment.sh"
if [ $# -ne 2 ]; then sed -n '2,10s/^# //p' "$0" >&2; exit 2; fi
media="$1" out="$2"
configs="$AVKD_ROOT/configs/starter" shipped="$AVKD_ROOT/avkd/models/starter"
step() { echo; echo "== $(date +%H:%M:%S) $* =="; }
# Exit code 3 means that some inputs were skipped and reported: no reason to stop.
avkd_or_skips() { local code=0; avkd "$@" || code=$?; [ $code -eq 3 ] || return $code; }

step "whose clips are learnt from, selected on, tested on"
clips="$out/clips"
side() {  # side of the split, person, files or folders
  mkdir -p "$clips/$1/real/$2"; cp -r --update "${@:3}" "$clips/$1/real/$2/"
}
for s in s1 s2 s3 s30 s5 s20 s23; do side train grid "$media/grid/$s"; done
for s in s31 s33 s34; do side val grid "$media/grid/$s"; done
for s in s22 s26 s32 s4 unkA unkB unkC unkD; do side test grid "$media/grid/$s"; done
side train korean_woman "$media"/korean_woman/*.mp4
asl() { local side="$1" person="$2"; shift 2; side "$side" "$person" "${@/#/$media/intel_asl/}"; }
asl train intel_A again.mkv brother.mkv help.mkv no.mkv student.mkv yes.mkv
asl train intel_B bird.mkv milk.mkv please.mkv sorry.mkv thanks.mkv
asl val intel_C book.mkv learn.mkv school.mkv walk.mkv
asl test intel_D eat.mkv night.mkv sister.mkv
asl test intel_E hungry.mkv want.mkv
side train tmsv_SP01 "$media"/lavse_tmsv/SP01_*.mp4
side test tmsv_SP05 "$media"/lavse_tmsv/SP05_*.mp4
side train lipify_A "$media"/lipify/Colors_{6,7}.mp4
side test lipify "$media"/lipify/{bbab8n.mpg,Adverb_1.mp4,Colors_2.mp4}
side val nv "$media"/nvidia_maxine/*.mp4
side test pyfeat "$media"/pyfeat/*.mp4
side test bob "$media"/bob_io_video/*.mov
find "$clips" -name '*.align' -delete
mkdir -p "$out/tools/test/fake"
cp -r --update "$media"/fake_tools/* "$media/fake_talkingavatar" "$out/tools/test/fake/"

step "prepare"
crops=(--crop_pixels 192 --crop_margin 1.3)
people='(?P<identity>congress/\w+|caltech_faces/image_\d\d|sfhq_\w+/[\w-]+)'
sides=(--options.val_fraction 0.15 --options.test_fraction 0.25)
pictures=(--layout real_fake_images --source "$media/images" --dataset pictures
  --options.identity_pattern "$people" "${sides[@]}" "${crops[@]}")
avkd_or_skips prepare "${pictures[@]}" --out "$out/prepared/pictures"
films=(--layout real_fake --source "$clips" --dataset clips
  --options.identity_pattern 'real/(?P<identity>grid/\w+|\w+)/' "${crops[@]}")
avkd_or_skips prepare "${films[@]}" --out "$out/prepared/clips"
# The threshold must hold for clips that a network has re-encoded, too.
avkd_or_skips prepare "${films[@]}" --split val --perturbation chain --severity 3 \
  --dataset clips_val_reencoded --out "$out/prepared/clips_val_reencoded"

step "train the teacher: ImageNet weights, fakes made on the spot, generated faces"
learnt=(--data "$out"/prepared/{pictures,clips,clips_val_reencoded} --loop.seed "${SEED:-0}")
[ -f "$out/teacher/model.safetensors" ] || \
  avkd distill --config "$configs/distill_teacher.yaml" "${learnt[@]}" --run "$out/teacher" \
    --resume "$([ -d "$out/teacher" ] && echo true || echo false)"
step "distil it into the student"
[ -f "$out/student/model.safetensors" ] || \
  avkd distill --config "$configs/distill_student.yaml" "${learnt[@]}" --run "$out/student" \
    --teacher "$out/teacher/model.safetensors" --model.weights "$out/teacher/model.safetensors" \
    --resume "$([ -d "$out/student" ] && echo true || echo false)"

step "what they are tested on: forged test people, tools, re-encoded reals"
avkd_or_skips forge --data "$out/prepared/clips" --out "$out/forged" --split test \
  --clips_per_identity 3 --methods self_blended face_swap mouth_reenactment texture_resynthesis \
  warped_geometry generator_artifacts
avkd_or_skips prepare --layout manifest --source "$out/forged" --out "$out/prepared/forged" \
  --detector boxes "${crops[@]}"
avkd_or_skips prepare --layout real_fake --source "$out/tools" --dataset tools \
  --out "$out/prepared/tools" "${crops[@]}" --max_seconds 10
avkd_or_skips prepare --layout real_fake_images --source "$out/tools" --dataset tool_pictures \
  --out "$out/prepared/tool_pictures" "${crops[@]}"
avkd_or_skips prepare "${films[@]}" --split test --perturbation chain --severity 3 \
  --dataset clips_reencoded --out "$out/prepared/clips_reencoded"
avkd_or_skips prepare "${pictures[@]}" --split test --perturbation jpeg --severity 3 \
  --dataset pictures_reencoded --out "$out/prepared/pictures_reencoded"

step "ship"
mkdir -p "$shipped"
python "$AVKD_ROOT/scripts/ship_starter.py" "$out/teacher" "$shipped/starter.safetensors"
# A student that is refused (3) leaves the one before in its place, and that one is tested.
python "$AVKD_ROOT/scripts/ship_starter.py" "$out/student" "$shipped/starter_fast.safetensors" || \
  [ $? -eq 3 ]
for name in starter starter-fast; do
  step "test $name"
  for corpus in pictures clips forged tools tool_pictures clips_reencoded pictures_reencoded; do
    avkd_or_skips evaluate --model "$name" --data "$out/prepared/$corpus" \
      --out "$out/evaluation/$name/$corpus" > /dev/null
  done
done

step "card"
python "$AVKD_ROOT/scripts/starter_card.py" --media "$media" --out "$out" --card "$shipped/card.md"
