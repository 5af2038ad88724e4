# JAGS: exactly the same priors. Its draws are cheap and resemble each other, so it gets more of them.
arguments <- commandArgs()
folder <- dirname(sub("--file=", "", arguments[grep("--file=", arguments)]))
source(file.path(folder, "serve.R"))
suppressPackageStartupMessages(library(rjags))

model <- "model {
  for (i in 1:rows) {
    log(mean[i]) <- log_exposure[i] + log_rate + log_rate_ratio * treated[i] +
      period_effect * second[i] + patient_effect[patient[i]]
    count[i] ~ dnegbin(size / (size + mean[i]), size)
  }
  for (j in 1:patients) { patient_effect[j] ~ dnorm(0, patient_sd^-2) }
  log_rate ~ dnorm(at[1], width[1]^-2)
  log_rate_ratio ~ dnorm(at[2], width[2]^-2)
  period_effect ~ dnorm(at[3], width[3]^-2)
  sqrt_overdispersion ~ dnorm(0, width[4]^-2) T(0.001,)
  patient_sd ~ dnorm(0, width[5]^-2) T(0.001,)
  overdispersion <- sqrt_overdispersion^2
  size <- 1 / overdispersion
}"
shared <- c("log_rate", "log_rate_ratio", "period_effect", "patient_sd", "overdispersion")
prior <- trial$priors
rows <- list(
  count = trial$count, log_exposure = trial$log_exposure, treated = trial$treated,
  second = trial$second, patient = trial$patient, rows = length(trial$count),
  patients = max(trial$patient),
  at = c(prior$log_rate$loc, prior$log_rate_ratio$loc, prior$period_effect$loc),
  width = c(
    prior$log_rate$scale, prior$log_rate_ratio$scale, prior$period_effect$scale,
    prior$sqrt_overdispersion$scale, prior$patient_sd$scale
  )
)
load.module("glm", quiet = TRUE)

one_chain <- function(ask, chain) {
  inits <- list(.RNG.name = "base::Mersenne-Twister", .RNG.seed = 1000 * ask$seed + chain)
  compiled <- jags.model(
    textConnection(model), rows,
    inits = inits, n.chains = 1, n.adapt = ask$tune, quiet = TRUE
  )
  coda.samples(compiled, shared, n.iter = ask$draws, progress.bar = "none")[[1]]
}

refit <- function(ask) {
  parallel::mclapply(seq_len(ask$chains), function(k) one_chain(ask, k), mc.cores = ask$cores)
}

serve(refit, function(fit) {
  sapply(shared, function(name) t(sapply(fit, function(chain) chain[, name])), simplify = FALSE)
})
