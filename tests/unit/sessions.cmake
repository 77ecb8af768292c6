# Session files and what is read into them.
traj_test(NAME test_session_file SOURCES test_session_file.c LIBS traj_files PkgConfig::HDF5 m
    LABELS unit)
traj_test(NAME test_real_sessions SOURCES test_real_sessions.c LIBS traj_files m LABELS unit real)
traj_test(NAME test_foreign SOURCES test_foreign.c LIBS traj_files LABELS unit)
traj_test(NAME test_csv SOURCES test_csv.c LIBS traj_files m LABELS unit)
traj_test(NAME test_evidence SOURCES test_evidence.c LIBS traj_dashboard LABELS unit)
