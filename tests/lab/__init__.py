"""The lab: everything around the two daemons that tests, demo and bench need.

    pki        a throw-away CA hierarchy
    http1      HTTP/1.1 as bytes, shared by the back end and the clients
    shapes     what ConfigMgr clients put on the wire
    bits       the BITS upload protocol, client and server side
    backend    a management point's dynamic half: echo, CCM_POST, BITS_POST, misbehaviour
    nginx      the management point and software update point stand-ins
    gate       a firewall in front of a port that opens, refuses, black-holes, cuts, delays
    proxies    squid and tinyproxy with every kind of authentication
    daemons    cmg-gateway and cmg-connection-point as child processes
    client     HTTP/1.1 and HTTP/2 clients, and load
    site       all of the above put together: N gateways, M connection points, back ends
"""
