"""What the command says about itself; plain text, so that it costs no imports."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["USAGE", "VERB_USAGE", "asks_for_usage"]

USAGE = """\
liftpose: 3D human pose from keypoints and pictures.

usage: liftpose VERB [options]

training and evaluation (PyTorch Lightning; every option can be set in the configuration or as --name value)
  fit       --config NAME.yaml [--config OVERLAY.yaml ...]                 train
  validate  --config NAME.yaml --ckpt_path FILE                            errors on the validation split
  test      --config NAME.yaml --ckpt_path FILE                            the papers' table on the test split
  predict   --config NAME.yaml --ckpt_path FILE                            one file of 3D poses per recording

data
  data check FOLDER                                   what the files of a folder are, and what is wrong with them
  data h36m --from cdf|mat|archive PATH --out FOLDER  Human3.6M from its official files
  data humaneva DIR --out FOLDER                      HumanEva-I from the export of its MATLAB toolbox
  data 3dhp --from valid|test|train PATH --out FOLDER MPI-INF-3DHP from its official or SPIN's annotations
  data detections PATH --detector NAME --out FOLDER   keypoints from the files of a detector, one per video
  data mocap DIR --out FOLDER --name NAME             motion capture (BVH, ASF/AMC) in the layout of Human3.6M
  data generate --ckpt_path FILE --count N --out DIR  poses of a trained generator; --from limits needs no checkpoint

weights
  weights import FILE --out NAME.ckpt        a checkpoint from the weights that a paper's authors published

pictures
  lift PICTURE --box X,Y,W,H --ckpt_path FILE         the 3D pose of the person in a picture: a file and a page

films and pages
  render    --data FOLDER --subject NAME --action NAME --ckpt_path FILE --out FILE.mp4|.gif|.html
  render    --predictions FILE.npz --out FILE.mp4|.gif|.html

liftpose VERB --help lists the options of a verb; --config NAME.yaml is a path or one of the installed configurations:
  {configs}
"""

_CONFIG = """\
  --config NAME.yaml               a path, or an installed configuration (liftpose --help lists them); of several, the
                                   later ones overlay the earlier ones
  --print_config                   print the whole configuration and exit; it can be given as --config again
  --KEY VALUE                      any key of the configuration, such as --data.root data/h36m
"""

_PLACE = """\
  --trainer.default_root_dir DIR   folder of the run, in which all that it makes is found
  --trainer.accelerator NAME       cpu, gpu or auto
"""

_MORE = """\
more options
  --model.help CLASS, --data.help CLASS   options of a class, such as --model.help liftpose.tasks.LiftingTask
  --help all                              every option, those of PyTorch Lightning's trainer among them
"""

_EVALUATION = """\
  --ckpt_path FILE                 the checkpoint; last or best for those of the run folder; or a file of a public
                                   code (see `liftpose weights import --help`)
"""

VERB_USAGE = {
    "fit": f"""\
usage: liftpose fit --config NAME.yaml [--config OVERLAY.yaml ...] [--KEY VALUE ...]

Train a model. The run folder gets config.yaml, checkpoints/best.ckpt and last.ckpt, metrics.csv and pictures.
SIGTERM and Ctrl-C save the state after the current batch; --ckpt_path last goes on with it.

options
{_CONFIG}\
  --ckpt_path last                 go on with the run in the run folder; best or a file go on from there
  --overwrite true                 give up the checkpoints and results of an earlier run in the run folder
  --seed_everything N              seed of weights and dropout

often used
{_PLACE}\
  --trainer.max_epochs N           number of epochs
  --trainer.devices N              number of processes, one per device
  --model.learning_rate X          learning rate of the first epoch
  --model.init_from FILE           weights of the stage before, for a lifter that is trained in stages
  --model.lifter.channels N        an option of the network
  --data.root DIR                  folder of the data set
  --data.batch_size N              windows of a batch, over all processes
  --logging.wandb MODE             offline (default), online or disabled
  --saving.every_n_minutes X       save the state within an epoch too, every so often (default 10)

{_MORE}""",
    "validate": f"""\
usage: liftpose validate --config NAME.yaml --ckpt_path FILE [--KEY VALUE ...]

Print the errors of a checkpoint on the validation split.

options
{_CONFIG}{_EVALUATION}
often used
{_PLACE}\
  --data.root DIR                  folder of the data set

{_MORE}""",
    "test": f"""\
usage: liftpose test --config NAME.yaml --ckpt_path FILE [--KEY VALUE ...]

Print the papers' table of a checkpoint on the test split and write it to the run folder (test_table.csv,
test_results.json), with a picture.

options
{_CONFIG}{_EVALUATION}\
  --by_subject true                print the table of each person too

often used
{_PLACE}\
  --data.root DIR                  folder of the data set
  --data.actions [NAME,...]        actions to test on; a name stands for all actions that begin with it
  --data.test_sets [NAME,...]      further data sets in the same folder to test on, each with a table of its own
  --model.flip_test false          do not average with the prediction of the mirrored window
  --logging.wandb MODE             offline (default), online or disabled

{_MORE}""",
    "predict": f"""\
usage: liftpose predict --config NAME.yaml --ckpt_path FILE [--KEY VALUE ...]

Write the poses that a checkpoint predicts for the test split: one npz file per recording in predictions/ of the run
folder, with skeleton, unit, frame and frame rate.

options
{_CONFIG}{_EVALUATION}
often used
{_PLACE}\
  --data.root DIR                  folder of the data set
  --data.actions [NAME,...]        actions to predict; a name stands for all actions that begin with it

{_MORE}""",
    "weights": """\
usage: liftpose weights import [NETWORK] FILE --out NAME.ckpt [options]

Make a checkpoint from a file of a public code: of RIE, of VideoPose3D, of DH-AUG, PoseAug and PoseFormer, or of a
network that looks at pictures and its refiner. test, validate, predict and render take it for their checkpoint (as
they take the file itself), fit takes it as --model.init_from; its training cannot go on. Which network it is can be
told from the file; a name before it is checked (rie, videopose, simple_baseline, semgcn, stgcn, poseformer, integral,
heatmap, refiner). Nothing that the file may contain is run.

options
  --out NAME.ckpt          the checkpoint to write

what the shapes of the weights may leave open
  --skeleton NAME          joint order of the poses, such as h36m_17 or humaneva_15
  --keypoint_skeleton NAME joint order of the keypoints of VideoPose3D, such as coco_17
  --causal true            the windows end with the frame whose pose is wanted
  --stage 2                weights of RIE's stage 2, which look like those of stage 3
  --heads N                number of heads of PoseFormer's attention (8)
""",
    "lift": """\
usage: liftpose lift PICTURE [PICTURE ...] --box X,Y,W,H [X,Y,W,H ...] --ckpt_path FILE [--out FILE ...] [options]

See the 3D poses of people in pictures. The poses are written as a file (.npz: metres, camera frame, relative to the
root, with skeleton and pixels) and as a page (.html) with the picture beside a 3D view that can be turned.

options
  --box X,Y,W,H ...     left, top, width and height in pixels of the box around a person, with some room; all for the
                        whole picture. One for each picture, or several people in one picture
  --ckpt_path FILE      checkpoint of a network that sees poses in pictures (mpii_integral.yaml, h36m_integral.yaml,
                        h36m_selfsup.yaml), or a file of a public code; it needs no configuration
  --out FILE ...        files to write, .npz and .html (PICTURE_pose.npz and PICTURE_pose.html in this folder)

lengths: no single picture shows how large a person is
  --box_metres M        what the longer side of a box stands for (2), which is also the depth that the network spans
  --focal F             focal length of the camera in pixels; without it people are seen along parallel rays
  --principal_point X,Y pixels of the principal point (the middle of the picture)

more options
  --device NAME         cpu, cuda or auto (auto)
  --batch_size N        people who are predicted at once (32)
""",
    "render": """\
usage: liftpose render --data FOLDER --subject NAME --action NAME [--ckpt_path FILE] --out FILE [options]
       liftpose render --predictions FILE.npz [--data FOLDER] --out FILE [options]

Show one recording: input keypoints, predicted poses and truth, whatever there is. The suffix of --out says how: a film
(.mp4, .gif), or a page (.html) with a player in which poses can be seen from all sides; several files may be given.

what is shown
  --data FOLDER         folder of the data set
  --dataset NAME        name of the data set in its file names (h36m)
  --keypoints NAME      name of the keypoints in the file name (gt)
  --subject NAME        the person
  --action NAME         the take: its whole name, or a beginning that names exactly one
  --camera N            index of the camera (0)
  --ckpt_path FILE      checkpoint of a lifter that predicts the poses, or a file of a public code; it needs no
                        configuration
  --predictions FILE    file of `liftpose predict` in place of these; with --data, its recording's truth beside it
  --truth false         without the truth

which frames
  --skip N              leave out the first frames
  --limit N             show so many frames at most
  --downsample N        average blocks of N frames; the film keeps its speed

films
  --video FILE          video under the keypoints; its frames are those of the recording
  --video_start N       frames of the video before the first of the recording (0)
  --size WIDTHxHEIGHT   pixels of each panel (480x480)
  --bitrate N           kilobits per second of an MP4; constant quality without it
  --turn DEGREES        walk around the person, from the camera towards its right (0)

predictions
  --export FILE.npz     write the predicted poses too, as `liftpose predict` does
  --device NAME         cpu, cuda or auto (auto)
  --batch_size N        windows that are predicted at once (1024)
""",
}


def asks_for_usage(words: Sequence[str]) -> bool:
    """Return whether a command asks for the short help of its verb, not for every option.

    Args:
        words: The words of the command, the verb first.
    """
    if not words or words[0] not in VERB_USAGE:
        return False
    asking = [place for place, word in enumerate(words) if word in {"-h", "--help"}]
    return bool(asking) and words[asking[0] + 1 : asking[0] + 2] != ["all"]
