package main

import (
	"context"
	"errors"
	"log"

	metrics "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/ratelimit"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
)

// middleware is go-grpc-middleware's chain: metrics, one line a call into zap, a rate limit that is never
// reached, recovery. grpc-mw-both has a line at the start as well, which is logging's default.
func middleware(mode, path string) grpc.ServerOption {
	m := metrics.NewServerMetrics(metrics.WithServerHandlingTimeHistogram())
	prometheus.MustRegister(m)
	chain := []grpc.UnaryServerInterceptor{m.UnaryServerInterceptor()}
	logger := adapted(zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(file(path)), zap.InfoLevel)))
	switch mode {
	case "grpc-mw":
		chain = append(chain, logging.UnaryServerInterceptor(logger, logging.WithLogOnEvents(logging.FinishCall)))
	case "grpc-mw-both":
		chain = append(chain, logging.UnaryServerInterceptor(logger, logging.WithLogOnEvents(logging.StartCall, logging.FinishCall)))
	case "grpc-mw-nolog":
	default:
		log.Fatalf("unknown mode %q", mode)
	}
	return grpc.ChainUnaryInterceptor(append(chain,
		selector.UnaryServerInterceptor(ratelimit.UnaryServerInterceptor(limit{rate.NewLimiter(1e9, 1e6)}), selector.MatchFunc(business)),
		recovery.UnaryServerInterceptor())...)
}

func business(_ context.Context, c interceptors.CallMeta) bool {
	return c.Service != "grpc.health.v1.Health"
}

type limit struct{ *rate.Limiter }

func (l limit) Limit(context.Context) error {
	if !l.Allow() {
		return errors.New("over the limit")
	}
	return nil
}

// adapted is the adapter of logging's own example for zap.
func adapted(l *zap.Logger) logging.Logger {
	return logging.LoggerFunc(func(_ context.Context, level logging.Level, msg string, fields ...any) {
		f := make([]zap.Field, 0, len(fields)/2)
		for i := 0; i+1 < len(fields); i += 2 {
			key := fields[i].(string)
			switch v := fields[i+1].(type) {
			case string:
				f = append(f, zap.String(key, v))
			case int:
				f = append(f, zap.Int(key, v))
			case bool:
				f = append(f, zap.Bool(key, v))
			default:
				f = append(f, zap.Any(key, v))
			}
		}
		logger := l.WithOptions(zap.AddCallerSkip(1)).With(f...)
		if level == logging.LevelInfo {
			logger.Info(msg)
			return
		}
		logger.Warn(msg)
	})
}
