# brms: a half-normal prior on sqrt(overdispersion) is an inverse gamma prior on shape, which is
# 1 / overdispersion; all priors are the same. Compiled once, then update().
arguments <- commandArgs()
folder <- dirname(sub("--file=", "", arguments[grep("--file=", arguments)]))
source(file.path(folder, "serve.R"))
suppressPackageStartupMessages(library(brms))

# Debian's package of Boost's headers has none of its own: they are the system's
if (system.file("include", package = "BH") == "") rstan::rstan_options(boost_lib = "/usr/include")

prior <- trial$priors
rows <- rows_of(trial)

normal_prior <- function(numbers, ...) {
  set_prior(sprintf("normal(%.17g, %.17g)", numbers$loc, numbers$scale), ...)
}
priors <- c(
  normal_prior(prior$log_rate, class = "b", coef = "one"),
  normal_prior(prior$log_rate_ratio, class = "b", coef = "treated"),
  normal_prior(prior$period_effect, class = "b", coef = "second"),
  set_prior(sprintf("normal(0, %.17g)", prior$patient_sd$scale), class = "sd"),
  set_prior(
    sprintf("inv_gamma(0.5, %.17g)", 0.5 / prior$sqrt_overdispersion$scale^2),
    class = "shape"
  )
)

compiled <- suppressWarnings(suppressMessages(brm(
  count ~ 0 + one + treated + second + offset(log_exposure) + (1 | patient),
  data = rows, family = negbinomial(), prior = priors, chains = 1, iter = 20, refresh = 0,
  backend = "rstan", silent = 2
)))

refit <- function(ask) {
  suppressWarnings(suppressMessages(update(
    compiled,
    newdata = rows, recompile = FALSE, chains = ask$chains, iter = ask$tune + ask$draws,
    warmup = ask$tune, cores = ask$cores, seed = ask$seed, refresh = 0, silent = 2,
    control = list(adapt_delta = ask$target_accept)
  )))
}

serve(
  refit,
  function(fit) {
    shared_draws(
      as.array(fit), c("b_one", "b_treated", "b_second"),
      function(of) of("sd_patient__Intercept"), function(of) 1 / of("shape")
    )
  },
  function(fit) stan_divergences(fit$fit),
  # the priors are part of what is compiled: they stay those of the first trial
  function(other) rows <<- rows_of(other)
)
