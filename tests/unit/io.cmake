# The daemon's dealings with files, where neither a process nor a real disk is needed.
traj_test(NAME test_recorder_file SOURCES test_recorder_file.c LIBS traj_io LABELS unit)
