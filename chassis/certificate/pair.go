// Package certificate serves TLS with a key pair whose files may be replaced at any time.
//
// Certificates live for weeks, and what renews them (certbot, cert-manager, a Kubernetes secret)
// writes new files and leaves it to the service to notice. A [Pair] is read once when the service
// starts, and looked at again every so often:
//
//	pair, err := certificate.Open("tls.crt", "tls.key")
//	go pair.Watch(ctx, time.Minute, report)
//	config := &tls.Config{GetCertificate: pair.GetCertificate, MinVersion: tls.VersionTLS12}
//
// A connection keeps the certificate of its handshake; those that are made after a look get the
// new one. No connection is closed, and no listener opened again.
//
// # All or nothing
//
// Two files cannot be replaced in one step, so a look may find the new certificate beside the old
// key, a file half written, or none at all. The pair in use stays until both files can be read and
// fit together. A certificate that is no longer valid never replaces another one: it is a file put
// back from a backup, or a renewal that went wrong, and the old certificate is no worse.
//
// # What counts as changed
//
// Files are compared by identity (device and inode), size and time of last change, through
// symbolic links, as Kubernetes swaps the link to a directory. While the last look failed, the
// files are read at each, so that what a comparison does not show, such as a permission granted,
// heals too. They are also read again where they had changed less than 2 s before they were read:
// one more change in place may have the same size and the same time, as the clocks of file systems
// are coarse (4 ms on many Linux kernels, 2 s on FAT).
package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// A Pair is a certificate chain with its private key, from two files in PEM. [Open] makes one. It
// is safe for concurrent use and holds no files open.
type Pair struct {
	certFile, keyFile string
	current           atomic.Pointer[loaded]
}

// loaded is what the files contained.
type loaded struct {
	certificate *tls.Certificate
	leaf        *x509.Certificate
	state       state // before they were read
}

// Open reads the pair. A certificate whose validity has ended is taken, because a service that
// clients complain about is better than none; [Pair.NotAfter] tells. The error names both files,
// and wraps fs.ErrNotExist and the like.
func Open(certFile, keyFile string) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile}
	l, err := p.load(p.look())
	if err != nil {
		return nil, err
	}
	p.current.Store(l)
	return p, nil
}

// GetCertificate returns the pair as last read, to be a tls.Config's field of this name. It
// ignores its argument, never fails and takes no lock. The certificate is shared: do not change it.
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.current.Load().certificate, nil
}

// NotAfter is when the validity of the certificate in use ends.
func (p *Pair) NotAfter() time.Time { return p.current.Load().leaf.NotAfter }

// load reads the files, which look like now. The error is as callers see it.
func (p *Pair) load(now state) (*loaded, error) {
	certificate, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return nil, p.failed(err)
	}
	leaf := certificate.Leaf
	if leaf == nil { // GODEBUG=x509keypairleaf=0
		if leaf, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
			return nil, p.failed(err)
		}
	}
	return &loaded{&certificate, leaf, now}, nil
}

func (p *Pair) failed(err error) error {
	return fmt.Errorf("certificate %s with key %s: %w", p.certFile, p.keyFile, err)
}

// serial is the serial number as openssl x509 -serial prints it.
func (l *loaded) serial() string { return fmt.Sprintf("%X", l.leaf.SerialNumber) }

// equals reports whether a client would see no difference.
func (l *loaded) equals(o *loaded) bool {
	return slices.EqualFunc(l.certificate.Certificate, o.certificate.Certificate, slices.Equal[[]byte])
}

// state is how the two files look from outside: nil for one that cannot be looked at.
type state struct {
	cert, key os.FileInfo
	young     bool // a further change might look the same
}

// grain is how coarse the clock of a file system may be.
const grain = 2 * time.Second

func (p *Pair) look() (s state) {
	settled := time.Now().Add(-grain)
	// Without its file, what there is to say comes from reading it.
	s.cert, _ = os.Stat(p.certFile)
	s.key, _ = os.Stat(p.keyFile)
	for _, f := range []os.FileInfo{s.cert, s.key} {
		s.young = s.young || f != nil && f.ModTime().After(settled)
	}
	return s
}

func (s state) equals(o state) bool { return same(s.cert, o.cert) && same(s.key, o.key) }

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
