// Package logdiff holds the access log against the Apache HTTP Server: its tests send the same requests
// to httpd and to a service on the chassis, both with the same LogFormat, and compare the lines field by
// field. It also has GoAccess read what is logged. All of it is in tests.
package logdiff
