"""The sections of a page by name; a view says which it belongs to."""

YOUR_METHOD = "Your method"
TABLES = "Tables"
CLAIMS = "Published claims"
CODEBOOK_DESIGN = "Codebook design"
TRADE_OFF = "Trade-off"
NETWORK = "Quantizer or network?"
ABLATIONS = "Ablations"
CODEBOOK_USE = "How the codebook is used"
TRAINING = "Training"
GENERATION = "Generation"
IMAGES = "Images"
RECONSTRUCTIONS = "Reconstructions"
COST = "Cost"
FAILURES = "Failures"
PROVENANCE = "Provenance"

IN_FOCUS = (  # one codebook per dataset
    NETWORK, CODEBOOK_USE, TRAINING, GENERATION, IMAGES, RECONSTRUCTIONS, COST,
)  # fmt: skip
OF_JOBS = (FAILURES, PROVENANCE)  # not of what was trained
PICTURES = (IMAGES, RECONSTRUCTIONS)  # what --no-images leaves out
IN_TERMINAL = (YOUR_METHOD, TABLES, FAILURES)  # without drawings
