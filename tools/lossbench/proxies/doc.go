// Package proxies tests that the proxies which stand in front of services, HAProxy and nginx, notice
// nothing of a reload: none of their answers is a 502, 503 or 504. They keep idle connections to the
// service and use them again at any moment, which is what a careless restart breaks.
//
//	go test ./tools/lossbench/proxies -reloads 50
package proxies
