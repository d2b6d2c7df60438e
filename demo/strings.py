"""Every word that a visitor reads, in one place (English first)."""

from __future__ import annotations

from typing import Final

from captioner.errors import VideoErrorCode

TITLE: Final = "captioner"
LEAD: Final = "Drop a video and get a caption. See which moment led to each word."
PRIVACY: Final = "Everything runs on this machine. Uploads are deleted after {minutes:.0f} minutes."
LIMITS: Final = "Videos up to {megabytes} MB and {minutes:.0f} minutes."

TAB_CAPTION: Final = "Caption"
TAB_ACTIONS: Final = "Actions"
TAB_ANOMALIES: Final = "Anomalies"
TAB_TIMELINE: Final = "Timeline"
TAB_BATCH: Final = "Batch"
TAB_FIND: Final = "Find"
TAB_COMPARE: Final = "Compare"
TAB_EVALUATE: Final = "Evaluate"

VIDEO_NAMED: Final = "Video: {name}"
NO_VIDEO: Final = "The video will be shown here."
DROP: Final = "Drop a video here, or choose one"
UPLOADING: Final = "Uploading {name}: {share} %"
UPLOAD_BROKEN: Final = "The upload was interrupted; please try again."
FILE_TOO_LARGE: Final = "This file is too large: this demo takes up to {limit} MB."
PREVIEW: Final = "Your browser cannot play this format, so the player shows a preview of its frames without sound."
NO_PREVIEW: Final = "Your browser cannot play this video; the result shows its frames instead."
SAMPLES: Final = "Or take a sample"
SAMPLE_NAMES: Final = {
    "photographer": "Somebody outdoors",
    "horse": "An animal, drawn",
    "stars": "Lights in the dark",
}
SAMPLE_DRAWN: Final = "Drawing {number}"
SAMPLE_FILM: Final = "a film of {count} shots"
RUN_CAPTION: Final = "Caption it again"
EXAMPLE: Final = "This is the caption of the sample “{name}”. Drop a video to caption your own."
CAPTIONING: Final = "Looking at the video …"
WAITING_SOON: Final = "Visitors before you: {before}."
WAITING: Final = "Visitors before you: {before}. Your turn comes in about {seconds:.0f} seconds."
LINE_FULL: Final = "The line of waiting visitors is full; please come back in a minute."
COPY: Final = "Copy"
COPIED: Final = "Copied"
CORRECT: Final = "Correct it"
CORRECT_OF: Final = "Correct the caption: {name}"
CORRECTION: Final = "Your sentence"
SAVE: Final = "Save"
DISCARD: Final = "Discard"
CORRECTED: Final = "corrected by you"
CORRECTIONS_NOTE: Final = (
    "Corrected: {count}. Put corrections.jsonl beside your videos: captioner train learns from it."
)
BURN: Final = "Make a clip with captions"
BURNING: Final = "Drawing the captions"
BURNT: Final = "The clip with its captions, kept for {minutes:.0f} minutes:"
BURN_STALE: Final = "Caption the video first."
VISIT: Final = "This visit"
GONE: Final = "This result was deleted: results are kept for {minutes:.0f} minutes."
TITLE_OF: Final = "{tab}: {name}: {said}"
RUN_WAYS: Final = "Compare greedy, beam and diverse search"
EMPTY_CAPTION: Final = "The caption, its words and the frames they came from will appear here."

SETTINGS: Final = "Settings"
MODEL: Final = "Checkpoint"
STRATEGY: Final = "Strategy"
STRATEGIES: Final = {
    "Beam search": "beam",
    "Greedy": "greedy",
    "Diverse beams": "diverse",
    "Sampling": "sample",
}
FRAMES: Final = "Frames"
FRAMES_INFO: Final = "Frames to sample"
START: Final = "Start (seconds)"
END: Final = "End (seconds)"
END_INFO: Final = "0: to the end of the video"

CONFIDENCE: Final = "confidence"
CHANCES: Final = (
    (0.9, "almost surely right"),
    (0.7, "probably right"),
    (0.55, "more likely right than wrong"),
    (0.45, "about an even chance that this is right"),
    (0.3, "more likely wrong than right"),
    (0.1, "probably wrong"),
    (0.0, "almost surely wrong"),
)
WHY: Final = "What does this mean?"
CALIBRATED: Final = "The percentage is the probability of this: {good}. It was fitted on the validation split."
UNCALIBRATED: Final = (
    "Confidence is the mean probability of the words by the model itself: a hint, not a probability of being right."
)
SCENE: Final = "It describes {start} to {end}"
SAW: Final = "Its image classifier detected {sights}."
SIGHT: Final = "{noun} ({share}, most likely at {time})"
FRAMES_SEEN: Final = "Sampled frames: {count}, from {first} to {last}"
WORDS_HEADING: Final = "Words over time"
WORDS_NOTE: Final = (
    "Each row is a word, each column a frame; a darker cell has more attention. Choose a word to see its moment. "
    "Measured with the packaged checkpoint: hiding the most attended quarter makes a word 1.11 times less likely, a "
    "random quarter 1.00 times."
)
WORDS_GRID_NOTE: Final = "The squares on the frames show where in the frame the attention was."
WORD: Final = "Word"
GATES_HEADING: Final = "Gates of the GRU, word by word"
GATES_NOTE: Final = (
    "Means over the units at each word. Update (z): the share of the state that is renewed. Reset (r): the share of "
    "the past that the new state uses."
)
GATES: Final = ("Update z", "Reset r")
WORD_MOMENT: Final = "“{word}”: most attention at {time} (frame {number} of {count}, {share})"
FRAME_MOMENT: Final = "Frame {number} of {count}, at {time}"
CELL: Final = "{share} at {time}"
ALTERNATIVES: Final = "Other hypotheses"
ALTERNATIVE_COLUMNS: Final = ("Caption", "Score", "Log-probability")
SCORE_NOTE: Final = "The score is the log-probability with length penalty; detected words then rerank the list."
WAYS_HEADING: Final = "Three search strategies"
STRATEGY_NOTES: Final = {
    "greedy": "The likeliest word at each step.",
    "beam": "Several hypotheses at once; the best one wins.",
    "diverse": "Groups of beams that avoid each other's words.",
}
LOG_PROB: Final = "log-probability"
WARNING: Final = "Note: {warning}."

SEGMENTS: Final = "Segments"
SEGMENT_CHOICES: Final = {"By shots": "shots", "Of equal length": "fixed"}
SEGMENT_SECONDS: Final = "Length of a segment (seconds)"
RUN_TIMELINE: Final = "Caption the segments"
CANCEL: Final = "Cancel"
STOPPED: Final = "Stopped before it was your turn."
WORK_BEGUN: Final = "{work} … {seconds:.0f} s"
WORK_PART: Final = "{work}: {text}"
WORK_LEFT: Final = "{work}: {text}; {left} left"
WORK_ENDING: Final = "Stopping: what was done so far is kept …"
EMPTY_TIMELINE: Final = "Captions will appear here as they are made, each with its time; choose one to jump to it."
TIMELINE: Final = "Timeline"
TIMELINE_PROGRESS: Final = "{captions}, {done} of {whole}, about {left} left"
TIMELINE_PROGRESS_OPEN: Final = "{captions}, {done} so far"
TIMELINE_START: Final = "Reading the video …"
TIMELINE_DONE: Final = "Done: {captions}. They are shown on the player as subtitles."
TIMELINE_STOPPED: Final = "Stopped: {captions} made so far and kept."
TIMELINE_FAILED: Final = "{reason} Kept: {captions} made before that."
DOWNLOAD: Final = "Download"
RUN_TOO_LONG: Final = "Stopped after {minutes:.0f} minutes, the longest a run may take here."

RUN_ACTIONS: Final = "Recognise actions"
EMPTY_ACTIONS: Final = "The likeliest actions, their probabilities and moments will appear here."
ACTION_PEAK: Final = "likeliest at {time}"
ACTIONS_NOTE: Final = (
    "The classifier knows a fixed list of actions and always names the nearest. The curves run from {first} to {last}. "
    "Choose an action to see its moment."
)

NORMAL: Final = "Normal footage of one camera (30 s or more)"
RUN_LEARN: Final = "Learn what is normal"
STEPS: Final = "Training steps"
STEPS_INFO: Final = "60 take about a minute on two idle cores; more steps find more anomalies"
SAMPLE_WALKWAY: Final = "Take a sample: a rendered walkway"
LEARNING: Final = "Learning from {files}"
LEARN_STOPPED: Final = "Stopped: nothing was learned."
LEARNT_SO_FAR: Final = "Stopped in {where}. What was learned so far is kept."
LEARNT: Final = "Learned from {files}, {seconds:.0f} seconds of footage. Now choose a video to score."
NOTHING_LEARNT: Final = "Learn from normal footage first."
ALARMS: Final = "False alarms an hour"
ALARMS_INFO: Final = "In normal footage; a lower rate misses more anomalies"
RUN_SCORE: Final = "Score the video"
EMPTY_ANOMALIES: Final = "The anomaly score over time, and the events above the threshold, will appear here."
EVENTS_FOUND: Final = "Events in {seconds:.0f} seconds: {count}"
NOTHING_ABNORMAL: Final = "No anomaly in {seconds:.0f} seconds: the highest score is {share:.2f} of the threshold"
CURVE: Final = "Anomaly score over time"
ALARM_LINE: Final = "dashed line"
CURVE_NOTE: Final = (
    "Press the curve, or choose an event, to see that moment. A score above the {threshold} is an event. The rate of "
    "false alarms is reliable from half an hour of normal footage on."
)
EVENTS: Final = "Events"
EVENT: Final = "{place}, {strength:.1f} times the threshold"

QUERY: Final = "What are you looking for?"
QUERY_INFO: Final = 'A sentence or words; "exact words", -without, path:holiday/*, after:2024'
RUN_FIND: Final = "Find"
EMPTY_FIND: Final = (
    "Type what a clip shows, such as “a person in space”. The clips that fit best will appear here, and with them "
    "what you captioned on this page."
)
FOUND: Final = "Found"
FOUND_COUNT: Final = "{clips}, best first. Choose one to play it."
FOUND_AT: Final = "{name}, {time}, score {score:.2f}"
NOTHING_FOUND: Final = "Nothing was found. Leave out quotes, path: or after:, or use other words."
UNKNOWN_WORDS: Final = "The retriever does not know these words; only captions were searched for them: {words}."
RUN_INDEX: Final = "Index the folder {name}"
INDEXING: Final = "Indexing the folder"
INDEXED: Final = "{clips} can be found."
INDEXING_STOPPED: Final = "Stopped: {clips} can be found, and the next run goes on from there."
INDEX_FAILURES: Final = "Files that could not be read: {count}."
NO_QUERY: Final = "Type what you are looking for first."
NO_RETRIEVER: Final = "There is no retriever for this checkpoint; start the page with --index and an index of it."
TOO_LARGE_TO_PLAY: Final = "This clip is larger than {limit} MB, the most that can be played here."

FILES: Final = "Videos"
RUN_BATCH: Final = "Caption all"
EMPTY_BATCH: Final = "One row for each file will appear here; a failed file says why."
BATCH: Final = "Captions of the batch"
BATCH_COLUMNS: Final = ("File", "Caption", "Confidence")
BATCH_CSV_COLUMNS: Final = (
    "file",
    "caption",
    "confidence",
    "start_seconds",
    "end_seconds",
    "scene_seconds",
    "error",
    "model",
)
BATCH_PROGRESS: Final = "{done} of {files}"
BATCH_DONE: Final = "Done: {good} captioned, {bad} refused."
BATCH_STOPPED: Final = "Stopped: {files} done so far and kept."
TOO_MANY: Final = "These are {count} files; this demo takes up to {limit} at once."

SIDE_A: Final = "A"
SIDE_B: Final = "B"
RUN_COMPARE: Final = "Compare on this video"
EMPTY_COMPARE: Final = "Two captions of the same video will appear here, side by side."
SAME: Final = "Both say the same."
DIFFERENT: Final = "They differ; the words that only one of them says are underlined."

PREDICTIONS: Final = "Predictions (JSON Lines of this program, coco results JSON, or CSV)"
REFERENCES: Final = "References (a manifest, coco annotations, or MSR-VTT's JSON or zip)"
SPLIT: Final = "Split"
SPLIT_INFO: Final = "Empty: test, or the only split"
MISSING: Final = "Count clips without a caption as empty captions"
CHARACTERS: Final = "Count characters as words (Chinese, Japanese, Thai)"
RUN_EVALUATE: Final = "Score"
EMPTY_EVALUATE: Final = (
    "Scores with 95 % intervals, their coverage, and the diversity of the captions will appear here."
)
NO_TEXTS: Final = "Choose a file of predictions and a file of references first."
TEXT_TOO_LARGE: Final = "A file of captions may have up to {limit} MB here."
EVALUATE_TOO_LONG: Final = "Scoring took longer than {seconds:.0f} seconds, so it was stopped."
SCORE_COLUMNS: Final = ("Metric", "Score", "95 % interval")
SCORES: Final = "Scores"
SIGNATURE: Final = "Signature"
REPORT_NOTE: Final = "The report holds every clip; quote a score with its signature."

NO_FILE: Final = "Choose a video first."
NO_FILES: Final = "Choose some videos first."
NO_SUCH_MODEL: Final = "There is no such checkpoint here; choose one of the list."
NO_ADDRESS: Final = "Send the file itself: addresses are not fetched."
TOO_LONG: Final = "This video is {minutes:.0f} minutes long; this demo takes up to {limit:.0f}."
BROKEN: Final = "Something went wrong here, not with your file; please try again later."
REFUSED: Final[dict[VideoErrorCode, str]] = {
    "not_found": "This file is no longer here; please upload it again.",
    "not_a_file": "This is not a file that can be captioned.",
    "empty": "This file is empty.",
    "no_video": "There is no video in this file.",
    "unsupported": "This file is not a video in a format that can be read here.",
    "damaged": "This file is damaged beyond reading, or it is not a video.",
    "too_large": "The pictures of this video are too large to decode here.",
    "blocked": "This is a playlist that points at other files, and those are never opened.",
    "timeout": "Decoding this video took too long, so it was stopped.",
    "forbidden": "This file may not be read here.",
    "unreachable": "This file cannot be reached right now; please try again later.",
    "changed": "This file changed while it was read; please try again.",
}

ABOUT: Final = (
    "A CNN encodes frames, an attention GRU writes the caption, and beam search picks it. A caption can be confident "
    "and wrong, and it cannot tell reliably who a person is or what a person feels."
)
