package systemd

// SocketsFrom is Sockets for descriptors that begin elsewhere than at 3.
var SocketsFrom = socketsFrom
