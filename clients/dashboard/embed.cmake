# Writes a C file that holds the page's files as bytes:
#     cmake -DFOLDER=page -DDYGRAPH=dygraph.min.js -DOUT=assets.c -P embed.cmake
set(names "index.html" "dashboard.css" "dashboard.js" "plots.js" "workspace.js" "dygraph.js")
set(types "text/html" "text/css" "text/javascript" "text/javascript" "text/javascript"
    "text/javascript")
set(arrays "")
set(rows "")
foreach(name type IN ZIP_LISTS names types)
    set(file "${FOLDER}/${name}")
    if(name STREQUAL "dygraph.js")
        set(file "${DYGRAPH}")
    endif()
    file(READ "${file}" hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n    "
        bytes "${bytes}")
    string(MAKE_C_IDENTIFIER "${name}" id)
    string(APPEND arrays "static const unsigned char ${id}[] = {\n    ${bytes}\n};\n")
    if(name STREQUAL "index.html")
        set(path "/")
    else()
        set(path "/${name}")
    endif()
    string(APPEND rows "    {\"${path}\", \"${type}; charset=utf-8\", ${id}, sizeof ${id}},\n")
endforeach()
file(WRITE "${OUT}.new" "/* Made by embed.cmake. */
#include \"clients/dashboard/assets.h\"

${arrays}
const struct asset dashboard_asset[] = {
${rows}};
const size_t dashboard_assets = sizeof dashboard_asset / sizeof dashboard_asset[0];
")
file(RENAME "${OUT}.new" "${OUT}")
