package grpcclient

// PushbackOf is for the fuzz test.
var PushbackOf = pushbackOf
