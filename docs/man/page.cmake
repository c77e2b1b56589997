# cmake -D PROGRAM=... -D SCDOC=... -D SOURCE=... -D MADE=... -P page.cmake
cmake_policy(VERSION 3.25)

file(READ ${SOURCE} page)
if(page MATCHES "@OPTIONS@")
  execute_process(COMMAND ${PROGRAM} --print-manual OUTPUT_VARIABLE options
    COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "@OPTIONS@\n" "${options}" page "${page}")
endif()
file(WRITE ${MADE}.scd "${page}")
execute_process(COMMAND ${SCDOC} INPUT_FILE ${MADE}.scd OUTPUT_FILE ${MADE}
  COMMAND_ERROR_IS_FATAL ANY)
