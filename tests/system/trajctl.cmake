# The command line, and what it does with a daemon.
if(TARGET trajctl)
    traj_script_test(NAME trajctl_options LABELS system COMMAND sh options.sh)
    foreach(shell bash zsh)
        traj_script_test(NAME trajctl_completion_${shell} LABELS system
            COMMAND sh completion.sh ${shell})
    endforeach()
    traj_script_test(NAME trajctl_report LABELS system TIMEOUT 900 COMMAND ${TRAJ_PYTHON} test_report.py)
    traj_script_test(NAME trajctl_features LABELS system TIMEOUT 900 COMMAND ${TRAJ_PYTHON} test_features.py)
    foreach(recording reach8-train chewie-co-a)
        traj_script_test(NAME trajctl_report_${recording} LABELS system real accuracy TIMEOUT 1800
            COMMAND ${TRAJ_PYTHON} test_report.py ${recording}.h5)
    endforeach()
    traj_script_test(NAME trajctl_score LABELS system TIMEOUT 300 COMMAND sh score.sh simulated)
    traj_script_test(NAME trajctl_evaluate LABELS system accuracy TIMEOUT 600 COMMAND sh evaluate.sh)
    foreach(recording reach8-train chewie-co-a)
        traj_script_test(NAME trajctl_score_${recording} LABELS system real TIMEOUT 900
            COMMAND sh score.sh ${recording}.h5)
    endforeach()
endif()
if(TARGET trajd AND TARGET trajctl)
    traj_script_test(NAME documentation LABELS system TIMEOUT 900
        COMMAND ${TRAJ_PYTHON} documentation.py)
    traj_script_test(NAME trajd_record LABELS system TIMEOUT 600
        COMMAND ${TRAJ_PYTHON} test_record.py)
    traj_script_test(NAME trajctl_relearn LABELS system TIMEOUT 600 COMMAND sh relearn.sh simulated)
    traj_script_test(NAME trajctl_rig LABELS system TIMEOUT 300 COMMAND sh rig.sh)
    traj_script_test(NAME trajctl_relearn_reach8-train LABELS system real TIMEOUT 900
        COMMAND sh relearn.sh reach8-train.h5)
endif()
if(TARGET trajd AND TARGET golden)
    traj_script_test(NAME trajctl_live LABELS system COMMAND sh live.sh $<TARGET_FILE:golden>)
endif()
if(TARGET trajd AND TARGET trajctl)
    traj_script_test(NAME trajctl_bench LABELS system TIMEOUT 600
        COMMAND ${TRAJ_PYTHON} test_bench.py)
    traj_script_test(NAME python_client LABELS system TIMEOUT 600
        COMMAND ${TRAJ_PYTHON} test_python.py)
    traj_script_test(NAME quickstart LABELS system TIMEOUT 900 COMMAND sh quickstart.sh)
endif()
# Sources: a simulated rig feeds the daemon over the real wire.
if(TARGET trajd AND TARGET trajctl)
    set(rigs open-ephys event-broadcaster blackrock lsl)
    # What stands in for liblsl; Python loads it too, so no sanitizer is in it.
    add_library(traj_lsl_stub SHARED lsl_stub.c)
    target_include_directories(traj_lsl_stub PRIVATE "${CMAKE_SOURCE_DIR}")
    target_compile_definitions(traj_lsl_stub PRIVATE _XOPEN_SOURCE=700)
    target_compile_options(traj_lsl_stub PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
    set_target_properties(traj_lsl_stub PROPERTIES OUTPUT_NAME lsl
        LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/lsl_stub")
    list(APPEND TRAJ_TEST_ENVIRONMENT "TRAJ_LSL_STUB=$<TARGET_FILE_DIR:traj_lsl_stub>")
    if(HIREDIS_FOUND)
        list(APPEND rigs brand)
        add_executable(write_intents write_intents.c)
        target_link_libraries(write_intents PRIVATE traj_flags traj_io)
        list(APPEND TRAJ_TEST_ENVIRONMENT "TRAJ_WRITE_INTENTS=$<TARGET_FILE:write_intents>")
    endif()
    foreach(system IN LISTS rigs)
        traj_script_test(NAME rig_${system} LABELS system TIMEOUT 300
            COMMAND ${TRAJ_PYTHON} test_rigs.py ${system})
        traj_script_test(NAME rig_${system}_reach8-train LABELS system real TIMEOUT 300
            COMMAND ${TRAJ_PYTHON} test_rigs.py ${system} reach8-train.h5)
    endforeach()
endif()
if(TARGET trajd AND TARGET trajctl)
    traj_script_test(NAME trajctl_dashboard LABELS system TIMEOUT 300
        COMMAND ${TRAJ_PYTHON} test_dashboard.py)
    traj_script_test(NAME trajctl_dashboard_browser LABELS system TIMEOUT 300
        COMMAND ${TRAJ_PYTHON} test_dashboard_browser.py)
    traj_script_test(NAME trajctl_demo LABELS system accuracy TIMEOUT 600
        COMMAND ${TRAJ_PYTHON} test_demo.py)
endif()
# The C client library as a program of somebody else finds it.
if(TARGET trajd)
    list(APPEND TRAJ_TEST_ENVIRONMENT "TRAJ_CC=${CMAKE_C_COMPILER}")
    traj_script_test(NAME c_library LABELS system TIMEOUT 300 COMMAND ${TRAJ_PYTHON} test_library.py)
    # Octave loads no library with sanitizers in it.
    if(NOT TRAJ_SANITIZE)
        traj_script_test(NAME matlab_client LABELS system interposed TIMEOUT 300
            COMMAND ${TRAJ_PYTHON} test_matlab.py)
    endif()
endif()
