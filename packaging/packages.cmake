# Debian packages, one for each program: `cpack -G DEB` in a build folder, or scripts/package.
# What is in them is said by COMPONENT at each install().

set(CMG_MAINTAINER "cmg-connection-point authors <maintainers@cmg-connection-point.example>" CACHE STRING
  "Maintainer of the packages: name and address")
set(CMG_HOMEPAGE "https://cmg-connection-point.example/" CACHE STRING
  "Home page that the packages name")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "cmg-connection-point authors")
set(CPACK_PACKAGE_CONTACT "${CMG_MAINTAINER}")
set(CPACK_COMPONENTS_ALL cmg-connection-point cmg-gateway cmgctl)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_OUTPUT_FILE_PREFIX ${PROJECT_SOURCE_DIR}/build/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS})

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${CMG_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "${CMG_HOMEPAGE}")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# cmg_package(NAME SUMMARY DEPENDS RECOMMENDS TEXT): what the package says of itself.
function(cmg_package name summary depends recommends text)
  string(TOUPPER ${name} key)
  foreach(pair "PACKAGE_NAME=${name}" "PACKAGE_DEPENDS=${depends}"
      "PACKAGE_RECOMMENDS=${recommends}" "DESCRIPTION=${summary}\n${text}")
    string(FIND "${pair}" "=" at)
    string(SUBSTRING "${pair}" 0 ${at} what)
    math(EXPR at "${at} + 1")
    string(SUBSTRING "${pair}" ${at} -1 value)
    set(CPACK_DEBIAN_${key}_${what} "${value}" PARENT_SCOPE)
  endforeach()

  # Debian's changelog and copyright, in each package.
  set(doc ${PROJECT_BINARY_DIR}/packaging/${name})
  file(READ ${PROJECT_SOURCE_DIR}/packaging/changelog changelog)
  if(NOT changelog MATCHES "^cmg-connection-point \\(${PROJECT_VERSION}\\)")
    message(FATAL_ERROR "packaging/changelog does not begin with version ${PROJECT_VERSION}")
  endif()
  string(REGEX REPLACE "(^|\n)cmg-connection-point " "\\1${name} " changelog "${changelog}")
  file(WRITE ${doc}/changelog "${changelog}")
  execute_process(COMMAND gzip -9nf ${doc}/changelog COMMAND_ERROR_IS_FATAL ANY)
  install(FILES ${doc}/changelog.gz packaging/copyright DESTINATION share/doc/${name}
    COMPONENT ${name})
endfunction()

# cmg_package_scripts(NAME UNIT...): what is done with the units as the package comes and goes. The
# first is the service.
function(cmg_package_scripts name service)
  string(TOUPPER ${name} key)
  set(CMG_NAME ${name})
  set(CMG_SERVICE ${service})
  list(JOIN ARGN " " CMG_SOCKETS)
  set(scripts)
  foreach(script postinst prerm postrm)
    set(made ${PROJECT_BINARY_DIR}/packaging/${name}/${script})
    configure_file(${PROJECT_SOURCE_DIR}/packaging/${script}.in ${made} @ONLY
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
        WORLD_READ WORLD_EXECUTE)
    list(APPEND scripts ${made})
  endforeach()
  set(CPACK_DEBIAN_${key}_PACKAGE_CONTROL_EXTRA ${scripts} PARENT_SCOPE)
endfunction()

cmg_package(cmg-connection-point
  "cloud management gateway for Configuration Manager: site side"
  "systemd (>= 252)" cmgctl
"The connection point runs in the internal network, dials the cloud management
gateway (cmg-gateway) and passes what clients on the internet ask there to
management points and software update points. No port is opened towards the
internal network, and only what is published by name and path is reached.
.
It goes out through firewalls and internet proxies, and keeps one channel open
to each instance of each gateway.")
cmg_package_scripts(cmg-connection-point cmg-connection-point.service)

cmg_package(cmg-gateway
  "cloud management gateway for Configuration Manager: internet side"
  "systemd (>= 252)" cmgctl
"Clients on the internet come to the gateway. It knows them by certificate or by
token, and hands what they ask for, as far as it is published, to a connection
point (cmg-connection-point) that has dialed in from the internal network.
.
Content is shown to clients where it lies in blob storage, by links that end.")
cmg_package_scripts(cmg-gateway cmg-gateway.service cmg-gateway.socket cmg-gateway-https.socket
  cmg-gateway-tcp-tls.socket)

cmg_package(cmgctl
  "keys, tokens and content of a cloud management gateway"
  "" ""
"The administrator's program for cmg-gateway and cmg-connection-point: it makes
the keys, certificates and configurations of a first site, issues and blocks
tokens, signs revocation lists, and publishes content to blob storage.
.
It needs neither of the daemons on the machine where it runs.")

include(CPack)
