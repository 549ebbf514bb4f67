package chassis

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/certificate"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// certificateCheck is how often the files of certificates are looked at.
const certificateCheck = 5 * time.Second

// watched is the certificate of a listener.
type watched struct {
	listener string
	pair     *certificate.Pair
	failed   atomic.Uint64
}

// TLS makes of cfg what a server needs; nil when cfg names no certificate. protos are offered by
// ALPN, the preferred first; TLS 1.2 is the oldest version spoken (RFC 9325). The files are looked
// at every five seconds while the service runs, and what they then hold is used for new
// connections, once certificate and key fit together. [Service.HTTP] and grpcserver.Serve call it; a
// service does so for a listener that speaks a protocol of its own.
func (s *Service) TLS(listener string, cfg TLSConfig, protos ...string) (*tls.Config, error) {
	if cfg.Cert == "" {
		return nil, nil
	}
	pair, err := certificate.Open(cfg.Cert, cfg.Key)
	if err != nil {
		return nil, err
	}
	w := &watched{listener: listener, pair: pair}
	s.mu.Lock()
	s.certificates = append(s.certificates, w)
	s.mu.Unlock()
	log := s.log.With(zap.String("listener", listener))
	s.Go("certificate of "+listener, func(ctx context.Context) error {
		pair.Watch(ctx, certificateCheck, func(e certificate.Event) {
			if e.Err != nil {
				w.failed.Add(1)
				log.Error("changed certificate is not used; the one before is", zap.Error(e.Err), zap.Time("valid_until", e.NotAfter))
				return
			}
			log.Info("certificate changed", zap.String("serial", e.Serial), zap.Time("valid_until", e.NotAfter))
		})
		return nil
	})
	return &tls.Config{GetCertificate: pair.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: protos}, nil
}

// certificateStats is what the metrics say of certificates.
func (s *Service) certificateStats() []kpi.CertificateStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []kpi.CertificateStats
	for _, w := range s.certificates {
		out = append(out, kpi.CertificateStats{Listener: w.listener, NotAfter: w.pair.NotAfter(), Failed: w.failed.Load()})
	}
	return out
}
