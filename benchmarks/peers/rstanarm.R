# rstanarm: its negative binomial cannot take a half-normal prior on sqrt(overdispersion), nor one on
# the patient SD. Nearest: Cauchy with the same median on 1 / overdispersion, exponential with the
# same mean on the patient SD. "one" stands for the intercept, so that nothing is centred.
arguments <- commandArgs()
folder <- dirname(sub("--file=", "", arguments[grep("--file=", arguments)]))
source(file.path(folder, "serve.R"))
suppressPackageStartupMessages(library(rstanarm))

prior <- trial$priors
rows <- rows_of(trial)

refit <- function(ask) {
  options(mc.cores = ask$cores)
  suppressWarnings(stan_glmer.nb(
    count ~ 0 + one + treated + second + offset(log_exposure) + (1 | patient),
    data = rows,
    prior = normal(
      c(prior$log_rate$loc, prior$log_rate_ratio$loc, prior$period_effect$loc),
      c(prior$log_rate$scale, prior$log_rate_ratio$scale, prior$period_effect$scale),
      autoscale = FALSE
    ),
    prior_aux = cauchy(0, 1 / (qnorm(0.75) * prior$sqrt_overdispersion$scale)^2, autoscale = FALSE),
    prior_covariance = decov(shape = 1, scale = sqrt(2 / pi) * prior$patient_sd$scale),
    chains = ask$chains, iter = ask$tune + ask$draws, warmup = ask$tune,
    adapt_delta = ask$target_accept, seed = ask$seed, refresh = 0
  ))
}

serve(
  refit,
  function(fit) {
    shared_draws(
      as.array(fit), c("one", "treated", "second"),
      function(of) sqrt(of("Sigma[patient:(Intercept),(Intercept)]")),
      function(of) 1 / of("reciprocal_dispersion")
    )
  },
  function(fit) stan_divergences(fit$stanfit),
  function(other) {
    prior <<- other$priors
    rows <<- rows_of(other)
  }
)
