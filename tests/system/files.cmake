# Files of other programs.
if(TARGET trajctl)
    traj_script_test(NAME trajctl_nwb LABELS system TIMEOUT 300 COMMAND ${TRAJ_PYTHON} test_nwb.py)
endif()
