"""The rows of docs/fidelity.md: how large networks are made, and which tests compare them with their references."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning_gan.imitation import GAIL, PPO, VAIL, VAIRL
from lightning_gan.loop.gan import GAN
from lightning_gan.models import (
    ALI,
    DCGAN,
    PGGAN,
    R3GAN,
    SAGAN,
    SNGAN,
    VGAN,
    BiGAN,
    BigGAN,
    BigGANDeep,
    IntroVAE,
    LayerNormResNetGAN,
    R1ResNet,
    ResNetGAN,
    SemiSupervisedCTGAN,
    SmallCTGAN,
    SoftIntroVAE,
    StyleGAN,
    StyleGAN2,
)
from lightning_gan.models.ali_tables import CelebATables
from lightning_gan.models.bigan_alexnet import AlexNet


class Size(NamedTuple):
    """A network as large as its authors', by what it is for and the settings that make it so."""

    what: str
    kind: type[GAN]
    settings: dict[str, Any]


class Comparison(NamedTuple):
    """Tests of one file that compare our numbers with those of a reference, and a name for what they compare."""

    what: str
    file: str
    tests: tuple[str, ...]


HOPPER: dict[str, Any] = {"observation_size": 11, "action_size": 3, "discrete_actions": False, "policy_width": 100}

SIZES: Mapping[str, list[Size]] = {
    "DCGAN": [Size("64x64", DCGAN, {})],
    "ResNetGAN": [
        Size("CIFAR-10", ResNetGAN, {}),
        Size("with classes", ResNetGAN, {"number_of_classes": 10}),
    ],
    "LayerNormResNetGAN": [Size("64x64", LayerNormResNetGAN, {})],
    "SmallCTGAN": [Size("CIFAR-10, width 128", SmallCTGAN, {"width": 128})],
    "SemiSupervisedCTGAN": [Size("CIFAR-10", SemiSupervisedCTGAN, {"number_of_classes": 10})],
    "R1ResNet": [
        Size("LSUN 256x256", R1ResNet, {"image_size": 256, "label_dim": 1}),
        Size("1024x1024", R1ResNet, {"image_size": 1024, "width": 16, "width_max": 512, "label_dim": 1}),
    ],
    "R3GAN": [
        Size("CIFAR-10", R3GAN, {"image_size": 32, "number_of_classes": 10}),
        Size("FFHQ 256x256", R3GAN, {"image_size": 256}),
    ],
    "SNGAN": [
        Size("CIFAR-10", SNGAN, {"image_size": 32}),
        Size("ImageNet 128x128", SNGAN, {"image_size": 128, "number_of_classes": 1000}),
    ],
    "SAGAN": [Size("ImageNet 128x128", SAGAN, {"image_size": 128, "number_of_classes": 1000})],
    "BigGAN": [Size("ImageNet 128x128", BigGAN, {"image_size": 128, "number_of_classes": 1000})],
    "BigGANDeep": [Size("ImageNet 128x128", BigGANDeep, {"image_size": 128, "number_of_classes": 1000})],
    "PGGAN": [Size("1024x1024", PGGAN, {"image_size": 1024})],
    "StyleGAN": [Size("1024x1024", StyleGAN, {"image_size": 1024})],
    "StyleGAN2": [Size("configuration F, 1024x1024", StyleGAN2, {"image_size": 1024})],
    "VGAN": [Size("LSUN 256x256", VGAN, {"image_size": 256, "label_dim": 1, "code_features": 1024})],
    "IntroVAE": [Size("256x256", IntroVAE, {}), Size("1024x1024", IntroVAE, {"image_size": 1024})],
    "SoftIntroVAE": [Size("CIFAR-10", SoftIntroVAE, {})],
    "BiGAN": [
        Size("MNIST", BiGAN, {}),
        Size(
            "ImageNet 64x64",
            BiGAN,
            {"image_size": 64, "image_channels": 3, "latent_dim": 200, "architecture": AlexNet()},
        ),
    ],
    "ALI": [
        Size("CIFAR-10", ALI, {}),
        Size("CelebA 64x64", ALI, {"image_size": 64, "architecture": CelebATables()}),
    ],
    "GAIL": [Size("Hopper", GAIL, {**HOPPER, "critic_width": 100, "code_size": 4})],
    "VAIL": [Size("Hopper", VAIL, {**HOPPER, "critic_width": 100, "code_size": 4})],
    "VAIRL": [Size("Hopper", VAIRL, {**HOPPER, "critic_width": 100, "code_size": 4})],
    "PPO": [Size("Hopper", PPO, HOPPER)],
}
"""The sizes of each row of the table of models, by the row's first cell."""

COMPARISONS: Mapping[str, list[Comparison]] = {
    # ------------------------------------------------------------------ models
    "DCGAN": [Comparison("layers", "models/test_dcgan.py", ("the_networks_compute_what_their_layers_say",))],
    "ResNetGAN": [
        Comparison(
            "layers",
            "models/test_resnet_gan.py",
            (
                "the_generator_computes_what_the_authors_layers_say",
                "the_critic_computes_what_the_authors_layers_say",
            ),
        )
    ],
    "LayerNormResNetGAN": [
        Comparison(
            "layers of the critic",
            "models/test_layer_norm_resnet_gan.py",
            ("the_critic_with_layer_norm_computes_what_the_authors_layers_say",),
        )
    ],
    "SmallCTGAN": [
        Comparison(
            "layers of the critic",
            "models/test_ct_gan.py",
            ("the_critic_without_dropout_computes_what_its_layers_say",),
        )
    ],
    "SemiSupervisedCTGAN": [
        Comparison(
            "layers of the generator",
            "models/test_semi_supervised_networks.py",
            ("batch_norm_comes_before_the_activation_and_gains_are_one_for_each_output",),
        ),
        Comparison(
            "objective of the discriminator",
            "models/test_semi_supervised_ct_gan.py",
            ("the_discriminators_objective_is_the_authors",),
        ),
    ],
    "R1ResNet": [
        Comparison("authors' images", "interop/test_gan_stability.py", ("images_equal_the_authors",)),
        Comparison(
            "authors' logits and gradient norms",
            "interop/test_gan_stability.py",
            ("logits_and_image_gradients_equal_the_authors",),
        ),
    ],
    "R3GAN": [
        Comparison("authors' images", "interop/test_r3gan_official.py", ("images_equal_the_authors",)),
        Comparison(
            "authors' logits and gradient norms",
            "interop/test_r3gan_official.py",
            ("logits_and_image_gradients_equal_the_authors",),
        ),
    ],
    "SNGAN": [
        Comparison("authors' images", "interop/test_sngan_official.py", ("images_equal_the_authors",)),
        Comparison(
            "authors' logits and gradient norms",
            "interop/test_sngan_official.py",
            ("logits_and_image_gradients_equal_the_authors",),
        ),
        Comparison(
            "layers at 32, 64 and 128 pixels",
            "interop/test_sngan_official.py",
            ("every_network_of_theirs_is_imported_from_its_weights",),
        ),
    ],
    "SAGAN": [
        Comparison(
            "layers",
            "models/test_sagan.py",
            ("the_generator_is_what_the_table_says", "the_discriminator_is_what_the_table_says"),
        ),
        Comparison("attention", "layers/test_attention.py", ("it_is_the_formula_position_by_position",)),
    ],
    "BigGAN": [
        Comparison("authors' images", "interop/test_biggan_pytorch.py", ("images_equal_the_authors",)),
        Comparison(
            "authors' logits and gradient norms",
            "interop/test_biggan_pytorch.py",
            ("scores_and_image_gradients_equal_the_authors",),
        ),
    ],
    "BigGANDeep": [
        Comparison(
            "published generator's images, where they are numbers",
            "interop/test_biggan_deep_hf.py",
            ("images_equal_the_authors_where_theirs_are_numbers",),
        ),
        Comparison(
            "layers of the published generator",
            "interop/test_biggan_deep_hf.py",
            ("images_equal_those_of_the_description",),
        ),
    ],
    "PGGAN": [
        Comparison("authors' images", "interop/test_pggan_official.py", ("images_equal_the_authors",)),
        Comparison(
            "authors' scores and gradient norms",
            "interop/test_pggan_official.py",
            ("scores_and_image_gradients_equal_the_authors",),
        ),
        Comparison(
            "layers, all options",
            "interop/test_pggan_official.py",
            ("every_option_equals_the_networks_written_anew",),
        ),
    ],
    "StyleGAN": [
        Comparison(
            "authors' styles and images", "interop/test_stylegan_official.py", ("styles_and_images_equal_the_authors",)
        ),
        Comparison(
            "authors' scores and gradient norms",
            "interop/test_stylegan_official.py",
            ("scores_and_image_gradients_equal_the_authors",),
        ),
        Comparison(
            "layers, all options", "interop/test_stylegan_official.py", ("every_option_computes_what_the_facts_say",)
        ),
    ],
    "StyleGAN2": [
        Comparison(
            "authors' styles and images", "interop/test_stylegan2_ada.py", ("styles_and_images_equal_the_authors",)
        ),
        Comparison(
            "authors' scores and gradient norms",
            "interop/test_stylegan2_ada.py",
            ("scores_and_image_gradients_equal_the_authors",),
        ),
        Comparison(
            "layers, all options", "interop/test_stylegan2_ada.py", ("every_option_computes_what_the_facts_say",)
        ),
    ],
    "VGAN": [
        Comparison(
            "authors' codes",
            "interop/test_vgan_official.py",
            ("the_codes_mean_and_deviation_equal_the_authors",),
        ),
        Comparison(
            "authors' divergence",
            "interop/test_vgan_official.py",
            ("the_divergence_of_every_position_equals_the_authors",),
        ),
        Comparison("authors' logits", "interop/test_vgan_official.py", ("logits_equal_the_authors",)),
        Comparison("authors' images", "interop/test_vgan_official.py", ("the_generator_is_gan_stabilitys",)),
    ],
    "IntroVAE": [
        Comparison(
            "authors' codes and divergences",
            "interop/test_introvae_official.py",
            ("codes_and_their_divergence_equal_the_authors",),
        ),
        Comparison("authors' images", "interop/test_introvae_official.py", ("images_equal_the_authors",)),
        Comparison(
            "gradients of a batch",
            "models/test_introvae.py",
            ("a_batch_has_the_losses_and_gradients_of_the_authors_order",),
        ),
    ],
    "SoftIntroVAE": [
        Comparison("layers", "models/test_introspective_networks.py", ("the_networks_compute_what_their_layers_say",)),
        Comparison(
            "gradients of a batch",
            "models/test_soft_introvae.py",
            ("a_batch_has_the_losses_and_gradients_of_the_authors_order",),
        ),
        Comparison(
            "terms and their gradients",
            "models/test_soft_introvae.py",
            ("each_term_of_both_costs_has_the_gradient_of_the_authors",),
        ),
    ],
    "BiGAN": [
        Comparison(
            "layers",
            "models/test_bigan.py",
            (
                "the_perceptrons_compute_what_their_layers_say",
                "the_convolutional_networks_compute_what_their_layers_say",
            ),
        ),
        Comparison("gradients of a step", "models/test_bigan.py", ("both_turns_descend_half_the_sum_of_two_terms",)),
    ],
    "ALI": [
        Comparison(
            "layers",
            "models/test_ali.py",
            (
                "encoder_and_generator_compute_what_their_layers_say",
                "the_critic_without_dropout_computes_what_its_layers_say",
            ),
        ),
        Comparison("gradients of a step", "models/test_ali.py", ("both_turns_descend_the_sum_of_two_terms",)),
    ],
    "GAIL": [
        Comparison("reward", "imitation/test_policy_losses.py", ("the_imitation_reward_is_minus_the_log_of_doubt",)),
        Comparison(
            "step of the critic", "imitation/test_vail.py", ("the_critics_turn_is_the_logistic_loss_of_both_looks",)
        ),
    ],
    "VAIL": [
        Comparison(
            "step of the critic", "imitation/test_vail.py", ("the_critics_turn_is_the_logistic_loss_of_both_looks",)
        ),
        Comparison("GAIL without a bottleneck", "imitation/test_vail.py", ("vail_without_a_bottleneck_is_gail",)),
    ],
    "VAIRL": [
        Comparison(
            "logit and reward",
            "imitation/test_vail.py",
            ("vairls_reward_and_logit_are_f_less_log_pi_by_the_policy_as_it_is",),
        ),
        Comparison(
            "AIRL's discriminator", "imitation/test_policy_losses.py", ("the_relative_logit_is_airls_discriminator",)
        ),
    ],
    "PPO": [
        Comparison("step of the policy", "imitation/test_ppo.py", ("the_policys_step_is_ppos",)),
    ],
    # ------------------------------------------------------------------ losses, regularizers, dynamics, metrics
    "RelativisticStandard, RelativisticAverage, RelativisticAverageHinge, RelativisticAverageLeastSquares": [
        Comparison(
            "cross-entropy against the other mean",
            "losses/test_relativistic.py",
            ("the_average_logistic_cost_is_cross_entropy_against_the_other_mean",),
        )
    ],
    "FGAN": [
        Comparison(
            "conjugates, searched on a grid",
            "losses/test_f_gan.py",
            ("the_conjugate_is_the_largest_gap_between_a_line_and_f",),
        ),
        Comparison("optimal logits", "losses/test_f_gan.py", ("the_optimal_logit_scores_the_slope_of_f",)),
    ],
    "TopK": [Comparison("loss of the best fakes", "losses/test_top_k.py", ("it_is_the_objective_on_the_best_fakes",))],
    "joint_generator_cost, mirrored_generator_cost": [
        Comparison(
            "critic's cost with exchanged pairs",
            "losses/test_joint.py",
            ("it_is_the_critics_cost_with_swapped_targets",),
        )
    ],
    "R1, R2": [
        Comparison(
            "norms sample by sample",
            "penalties/test_gradient.py",
            ("it_equals_the_norms_that_vmap_finds_sample_by_sample",),
        ),
        Comparison(
            "linear critic",
            "penalties/test_gradient.py",
            ("on_a_linear_critic_it_is_gamma_half_times_the_squared_slope",),
        ),
    ],
    "FiniteDifferenceR1, FiniteDifferenceR2": [
        Comparison(
            "linear critic, along the axes",
            "penalties/test_finite_difference.py",
            ("along_the_axes_it_is_exact_on_a_linear_critic",),
        )
    ],
    "GradientPenalty, LipschitzPenalty, ZeroCenteredGradientPenalty, DivergencePenalty, DRAGAN, Drift": [
        Comparison(
            "norms point by point", "penalties/test_interpolation.py", ("every_point_has_the_gradient_that_vmap_finds",)
        ),
        Comparison(
            "linear critic",
            "penalties/test_interpolation.py",
            ("on_a_linear_critic_it_is_the_price_of_its_slope",),
        ),
    ],
    "Roth, RothFGAN": [
        Comparison(
            "by logit and by score",
            "penalties/test_f_gan_regularizer.py",
            ("the_general_form_is_the_same_by_logit_and_by_score",),
        )
    ],
    "QuadraticPotential": [
        Comparison(
            "optimal difference", "penalties/test_gan_qp.py", ("the_best_difference_is_lambda_times_the_distance",)
        )
    ],
    "LeCam": [
        Comparison(
            "authors' averages",
            "callbacks/regularizers/test_lecam.py",
            ("the_authors_averages_are_those_of_the_present_turn_too",),
        )
    ],
    "PathLength": [
        Comparison(
            "linear synthesis",
            "callbacks/regularizers/test_path_length.py",
            ("it_is_the_spread_of_lengths_around_the_moved_mean",),
        )
    ],
    "SpectralNorm": [
        Comparison(
            "largest singular value",
            "layers/test_spectral_normalization.py",
            ("the_norm_in_every_dimension_is_the_exact_largest_singular_value",),
        ),
        Comparison(
            "its gradient",
            "layers/test_spectral_normalization.py",
            ("the_norms_gradient_is_the_outer_product_of_the_singular_vectors",),
        ),
    ],
    "Bottleneck": [
        Comparison(
            "divergence against PyTorch's",
            "penalties/test_kl_divergence.py",
            ("it_equals_pytorchs_own_summed_over_dimensions",),
        )
    ],
    "ConsensusOptimization, NagarajanKolter, SymplecticGradientAdjustment": [
        Comparison(
            "full Jacobians of a game",
            "callbacks/regularizers/test_game_dynamics.py",
            ("the_term_is_that_of_the_turns_own_images_and_latents",),
        )
    ],
    "python cli.py dynamics": [
        Comparison(
            "fields against the package's costs and penalties",
            "dynamics/test_fields.py",
            ("every_field_is_the_descent_of_the_packages_own_costs_and_penalties",),
        )
    ],
    "Evaluation": [
        Comparison(
            "torch-fidelity's Inception features",
            "metrics/test_torch_fidelity.py",
            ("features_are_those_of_torch_fidelity",),
        )
    ],
    "SlicedWasserstein, MultiScaleSimilarity": [
        Comparison(
            "torchmetrics' MS-SSIM, inside the border",
            "metrics/test_structural_similarity.py",
            ("every_level_is_torchmetrics_inside_the_border",),
        )
    ],
    "PerceptualPathLength": [
        Comparison(
            "linear generator",
            "metrics/test_perceptual_path.py",
            ("along_a_line_a_linear_generator_moves_by_its_image_of_it",),
        ),
        Comparison("torchmetrics' LPIPS", "metrics/test_lpips_distance.py", ("it_is_the_lpips_of_torchmetrics",)),
    ],
}
"""What is measured for each row of both tables, by the row's first cell."""
