# What the daemon sends and refuses, against the schemas and vectors of proto/.
if(TARGET trajd)
    traj_script_test(NAME trajd_schemas LABELS system TIMEOUT 600
        COMMAND ${TRAJ_PYTHON} test_schemas.py)
endif()
