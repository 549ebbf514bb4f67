package queue

import (
	"fmt"
	"net/netip"
)

// Class is how much a piece of work matters: under overload the lowest class is shed first. The
// zero Class is Critical. A value beyond the four counts as the nearest of them.
//
// The names are those of Google's "Site Reliability Engineering", chapter "Handling Overload".
type Class int8

// The classes.
const (
	CriticalPlus  Class = 1  // its loss would be seen by many people, at once
	Critical      Class = 0  // somebody waits for it; the default
	SheddablePlus Class = -1 // may fail for minutes: what is tried again, such as batches
	Sheddable     Class = -2 // may fail for hours
)

// classes is how many there are.
const classes = 4

// rank is the class's place among the four; 0 matters most.
func (c Class) rank() int { return int(CriticalPlus - min(max(c, Sheddable), CriticalPlus)) }

// ranked is the class of a rank.
func ranked(rank int) Class { return CriticalPlus - Class(rank) }

// String is the class as it stands in metric labels.
func (c Class) String() string {
	switch c {
	case CriticalPlus:
		return "critical_plus"
	case Critical:
		return "critical"
	case SheddablePlus:
		return "sheddable_plus"
	case Sheddable:
		return "sheddable"
	}
	return fmt.Sprintf("Class(%d)", int8(c))
}

// Meta is what a queue wants to know of a piece of work. The zero Meta is critical work of a
// service that does not tell tenants apart.
type Meta struct {
	// Tenant is on whose behalf the work is done: those who wait take turns, tenant by tenant. It
	// is not kept longer than the work waits, and no metric carries it, so it may be anything,
	// also a name that a caller has made up.
	Tenant string
	// Client stands for a tenant without a name: its address, and of IPv6 the network of 64 bits,
	// within which one client has as many addresses as it likes. The zero Addr is nobody in
	// particular.
	Client netip.Addr
	Class  Class
	// Arriving is true of work that begins by waiting for what its client still sends, such as the body of a
	// request. The client may hold [Limits].PerClient workers with that, each until [Admission.Arrived] or
	// its end. Submitted work has arrived.
	Arriving bool
}

// tenant is the name by which the work is told apart. It is asked for when the work has to wait.
func (m *Meta) tenant() string {
	if m.Tenant != "" || !m.Client.IsValid() {
		return m.Tenant
	}
	return m.client().String()
}

// client is the address that stands for all that one client has.
func (m *Meta) client() netip.Addr {
	if c := m.Client; c.Is6() && !c.Is4In6() {
		network, _ := c.WithZone("").Prefix(64) // IPv6 has so many bits
		return network.Addr()
	}
	return m.Client.Unmap()
}
